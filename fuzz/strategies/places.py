"""Places in a JSON document and their paths: ``process.rlimits[1].type``, ``linux.sysctl["net.ipv4.ip_forward"]``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str | int, ...]


def json_path(place: Place) -> str:
    """The path in words; "" for the whole document."""
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier():
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(part)}]"
    return path


def walk(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place below the document's top, with its value, outermost first."""
    items: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    for part, item in items:
        yield (*place, part), item
        yield from walk(item, (*place, part))


def get(document: Any, place: Place) -> Any:
    """The value at a place.  Raises KeyError or IndexError."""
    for part in place:
        document = document[part]
    return document


def put(document: Any, place: Place, value: Any) -> None:
    """Replace the value at a place, or add the member; the objects on the way are made."""
    for part in place[:-1]:
        document = document.setdefault(part, {}) if isinstance(document, dict) else document[part]
    document[place[-1]] = value


def drop(document: Any, place: Place) -> None:
    """Remove a member."""
    del get(document, place[:-1])[place[-1]]
