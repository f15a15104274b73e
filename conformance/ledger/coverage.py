"""How far the cases cover the ledger, and why a requirement has no case (uncovered.toml)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import ledger, tables

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uncovered.toml")
KINDS = ("not-observable", "permission", "config-duty", "caller-duty", "hardware", "host", "open")


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a requirement has no case: a word of KINDS, and a sentence."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement, the ids of the cases that cover it, and why there are none."""

    requirement: ledger.Requirement
    cases: tuple[str, ...]
    gap: Gap | None

    @property
    def observable(self) -> bool:
        """Whether a black-box check exists for it."""
        return bool(self.requirement.observable)


def parse(text: str) -> dict[str, Gap]:
    """Gaps by ledger id.  HarnessBug names the entry that is malformed or unknown to the ledger."""
    found: dict[str, Gap] = {}
    for name, entry in tables.document(text, "uncovered").items():
        if not isinstance(entry, Mapping) or set(entry) != {"kind", "reason"}:
            raise HarnessBug(f"uncovered: {name}: kind and reason are expected")
        kind, reason = entry["kind"], entry["reason"]
        if kind not in KINDS or not isinstance(reason, str) or not reason.strip():
            raise HarnessBug(f"uncovered: {name}: kind must be one of {', '.join(KINDS)}, and reason a sentence")
        found[name] = Gap(kind, reason)
    ledger.check_ids(tuple(found))
    return found


@cache
def gaps() -> dict[str, Gap]:
    """The shipped entries.  HarnessBug when one is malformed."""
    with open(PATH, encoding="utf-8") as file:
        return parse(file.read())


def rows(cases: Iterable[tuple[str, Iterable[str]]]) -> list[Row]:
    """Every requirement in ledger order, from (case id, ledger ids that it covers) of each case."""
    covering: dict[str, list[str]] = {name: [] for name in ledger.load()}
    for case, ids in cases:
        for name in ids:
            covering[name].append(case)
    return [Row(row, tuple(covering[name]), gaps().get(name)) for name, row in ledger.load().items()]


def mistakes(found: Iterable[Row]) -> list[str]:
    """What is wrong with uncovered.toml: requirements without a case and without an entry, and entries too many."""
    wrong = []
    for row in found:
        if row.cases and row.gap:
            wrong.append(f"{row.requirement.id} is covered by {row.cases[0]}: remove its entry")
        elif not row.cases and not row.gap:
            wrong.append(f"{row.requirement.id} has neither a case nor an entry")
    return wrong


def percent(found: Iterable[Row]) -> float:
    """Of the observable requirements, how many per cent have a case; 0 when there are none."""
    wanted = [row for row in found if row.observable]
    return 100 * sum(1 for row in wanted if row.cases) / len(wanted) if wanted else 0.0
