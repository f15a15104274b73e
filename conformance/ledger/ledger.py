"""The requirement ledger: every testable requirement of the runtime-spec for Linux, with an id that never changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from seatrial.conformance.engine import needs as needs_module
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import tables

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ledger.toml")
SPEC_VERSION = "1.3.0"  # the tag that ledger.toml was walked from (v1.3.0-15-g6999a89)
SPEC_COMMIT = "6999a89"

LEVELS = ("MUST", "MUST NOT", "REQUIRED", "SHOULD", "SHOULD NOT", "RECOMMENDED", "NOT RECOMMENDED", "MAY", "OPTIONAL")
SUBJECTS = ("runtime", "config", "hook", "bundle", "caller")
FIELDS = ("id", "file", "section", "level", "subject", "text", "observable", "needs", "since")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row.  `text` is our paraphrase; `observable` is the black-box check, "" where there is none."""

    id: str
    file: str
    section: str
    level: str
    subject: str
    text: str
    observable: str
    needs: tuple[str, ...]
    since: str

    @property
    def chapter(self) -> str:
        """file and section, as reports group requirements: `config.md#mounts`; schema rows go by their file."""
        return self.file if self.file.startswith("schema/") else f"{self.file}#{self.section}"


def parse(text: str) -> dict[str, Requirement]:
    """Requirements by id, in file order.  HarnessBug names the row that is malformed, repeated or uses an unknown
    word."""
    return tables.by_id(text, "ledger", "requirement", _requirement)


def _requirement(row: Mapping[str, object], number: int) -> Requirement:
    where = f"ledger: row {number} ({row.get('id', 'no id')})"
    if set(row) != set(FIELDS):
        raise HarnessBug(f"{where}: missing or unknown members: {', '.join(sorted(set(row) ^ set(FIELDS)))}")
    text: dict[str, str] = {}
    for name in FIELDS:
        value = row[name]
        if name != "needs":
            if not isinstance(value, str):
                raise HarnessBug(f"{where}: {name} must be a string")
            text[name] = value
    words = row["needs"]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise HarnessBug(f"{where}: needs must be a list of strings")
    if not text["id"] or text["level"] not in LEVELS or text["subject"] not in SUBJECTS:
        raise HarnessBug(f"{where}: empty id or unknown level or subject")
    for word in words:
        try:
            needs_module.check_word(word)
        except HarnessBug as error:
            raise HarnessBug(f"{where}: {error}") from error
    return Requirement(needs=tuple(words), **text)


@cache
def load() -> dict[str, Requirement]:
    """The shipped ledger, by id, in file order.  HarnessBug when it is malformed."""
    with open(PATH, encoding="utf-8") as file:
        return parse(file.read())


def check_ids(ids: tuple[str, ...]) -> None:
    """HarnessBug unless every id is in the ledger."""
    unknown = [name for name in ids if name not in load()]
    if unknown:
        raise HarnessBug(f"not in the ledger: {', '.join(unknown)}")
