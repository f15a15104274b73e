"""Where two JSON documents differ, and what these places are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
Place: TypeAlias = "tuple[str | int, ...]"

NAMED = ("type", "destination", "path", "key", "ociVersion")  # members that say which element of a list it is
# Lists whose words are features; those of others (env, args, additionalGids) may be anything.
WORDS = frozenset(
    "options namespaces rlimits mounts devices flags names architectures syscalls effective bounding permitted "
    "inheritable ambient".split()
)
FREE = ("annotations",)  # objects whose members may have any name
TELLING = (
    "type",
    "action",
    "mode",
    "domain",
    "rootfsPropagation",
    "policy",
    "class",
)  # members whose value is the feature, more than that they are there


def changes(base: Any, found: Any, at: Place = ()) -> Iterator[Place]:
    """The places in `found`, or missing there, that are not as in `base`: members of objects, elements of lists."""
    if isinstance(base, dict) and isinstance(found, dict):
        for name in [*found, *(name for name in base if name not in found)]:
            if name not in base or name not in found:
                yield (*at, name)
            else:
                yield from changes(base[name], found[name], (*at, name))
    elif isinstance(base, list) and isinstance(found, list):
        if repr(base) == repr(found):  # unlike ==, tells 1 from True
            return
        known = [json.dumps(item, sort_keys=True) for item in base]
        there = [json.dumps(item, sort_keys=True) for item in found]
        for index, text in enumerate(there):
            if text not in known:
                yield (*at, index)
        if any(text not in there for text in known):
            yield (*at, "missing")
        elif there != known and all(text in known for text in there):
            yield (*at, "order")
    elif base != found or type(base) is not type(found):
        yield at


def name(document: Any, place: Place) -> str:
    """`linux.resources.pids`, `mounts[tmpfs]`, `mounts missing`."""
    words, above = "", ""
    value = document
    for step in place:
        if isinstance(step, int):
            value = value[step]
            words += f"[{_kind(value) if above in WORDS else ''}]"
        elif isinstance(value, list):
            return f"{words} {step}"
        else:
            if above in FREE:
                return words
            words += ("." if words else "") + str(step)
            above = str(step)
            value = value.get(step) if isinstance(value, dict) else None
    return words


def features(base: Document, found: Document) -> tuple[str, ...]:
    """The names of all places of a document that are not as in `base`, with what is inside of them."""
    names: dict[str, None] = {}
    for place in changes(base, found):
        at = name(found, place)
        value = get(found, place)
        inner = list(_inside(value)) if isinstance(value, dict) and place[-1] not in FREE else []
        for word in inner or [_leaf(place, value)]:
            names[at + word] = None
    return tuple(sorted(names))


def get(document: Any, place: Place) -> Any:
    """The value at a place, None where there is none."""
    value = document
    for step in place:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return str(next((value[key] for key in TELLING if isinstance(value.get(key), str)), ""))
    return value.partition("=")[0] if isinstance(value, str) and len(value) < 40 else ""


def _inside(value: Document) -> Iterator[str]:
    """The members of an object, and the words of lists in it (mount options, names of system calls)."""
    for key, item in value.items():
        if key in NAMED:
            continue
        if isinstance(item, list) and item and all(isinstance(word, str) for word in item):
            yield from (f".{key}[{_kind(word) if key in WORDS else ''}]" for word in item)
        elif isinstance(item, dict) and item and key not in FREE:
            yield from (f".{key}{word}" for word in _inside(item))
        else:
            yield f".{key}{_leaf((key,), item)}"


def _leaf(place: Place, value: Any) -> str:
    if place and place[-1] in ("missing", "order"):
        return ""
    if value is None or isinstance(value, bool):
        return f" {json.dumps(value)}"
    if place and place[-1] in TELLING and isinstance(value, str):
        return f" {value[:40]}"
    return ""
