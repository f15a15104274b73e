"""The shipped TOML tables: whatever is wrong in one is a bug of ours, with the file's name in it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from seatrial.conformance.errors import HarnessBug


class Named(Protocol):
    """A row that has an id."""

    @property
    def id(self) -> str:
        """Unique in its file."""


Row = TypeVar("Row", bound=Named)


def document(text: str, file: str) -> dict[str, Any]:
    """The members of a TOML text.  HarnessBug when it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessBug(f"{file}: {error}") from error


def by_id(text: str, file: str, table: str, make: Callable[[dict[str, Any], int], Row]) -> dict[str, Row]:
    """The rows of the array `table`, the only member, by id, in file order; `make` takes a row and its number from 1.

    HarnessBug when there is anything else in the text, or an id twice.
    """
    members = document(text, file)
    rows = members.get(table)
    if set(members) != {table} or not isinstance(rows, list):
        raise HarnessBug(f"{file}: only [[{table}]] tables are expected")
    found: dict[str, Row] = {}
    for number, row in enumerate(rows, 1):
        made = make(row, number)
        if made.id in found:
            raise HarnessBug(f"{file}: {made.id} appears twice")
        found[made.id] = made
    return found
