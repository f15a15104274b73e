"""Divergences: where the observations of several runtimes are not the same, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.fuzz.diff.observe import ACCEPTED, Observation

ANSWER, STATUS, STATES, REPORT, LEFT = "answer", "exit status", "states", "report", "left behind"
_NUMBER = re.compile(r"\[\d+\]|\(\d+\)")
WORDS = 60  # characters of a value that a line shows


@dataclass(frozen=True, slots=True)
class Difference:
    """`where` is a leaf of the report, or ""; `values` are in the order of the runtimes."""

    kind: str
    where: str
    values: tuple[str, ...]

    @property
    def area(self) -> tuple[str, str]:
        """What is kept while a config is made smaller: the kind, and the report's member or the answers."""
        if self.kind == REPORT:
            return self.kind, re.split(r"[.\[]", self.where, maxsplit=1)[0]
        return self.kind, " / ".join(self.values)

    @property
    def spot(self) -> str:
        """`where` without numbers."""
        return _NUMBER.sub("[]", self.where)

    def __str__(self) -> str:
        values = " / ".join(value if len(value) <= WORDS else value[:WORDS] + "..." for value in self.values)
        return f"{self.kind}{' ' + self.where if self.where else ''}: {values}"


def differences(seen: Sequence[Observation]) -> list[Difference]:
    """What is not the same in all observations; reports are compared where all accepted."""
    found = []

    def compare(kind: str, where: str, values: Sequence[str]) -> None:
        if len(set(values)) > 1:
            found.append(Difference(kind, where, tuple(values)))

    compare(ANSWER, "", [one.answer for one in seen])
    compare(LEFT, "", [", ".join(one.left) or "nothing" for one in seen])
    compare(STATES, "", [", ".join(one.states) for one in seen])
    if all(one.answer == ACCEPTED for one in seen):
        compare(STATUS, "", [str(one.status) for one in seen])
        first = seen[0].report
        same = {leaf for leaf, value in first.items() if all(one.report.get(leaf) == value for one in seen[1:])}
        for leaf in dict.fromkeys(leaf for one in seen for leaf in one.report if leaf not in same):
            compare(REPORT, leaf, [one.report.get(leaf, "-") for one in seen])
    return found


@dataclass(frozen=True, slots=True)
class Identity:
    """What differs, where, and under which features of the config; two that are equal are one divergence."""

    kind: str
    where: str
    features: tuple[str, ...]

    def __str__(self) -> str:
        under = ", ".join(self.features) or "the default config"
        return f"{self.kind}{' ' + self.where if self.where else ''} with {under}"


def identify(found: Sequence[Difference], features: tuple[str, ...]) -> Identity:
    """The identity of differences of one area, in a config that has just these features."""
    first = found[0]
    where = min(difference.spot for difference in found) if first.kind == REPORT else first.area[1]
    return Identity(first.kind, where, features)


def by_area(found: Sequence[Difference]) -> dict[tuple[str, str], list[Difference]]:
    """Differences by what is kept while a config is made smaller."""
    areas: dict[tuple[str, str], list[Difference]] = {}
    for difference in found:
        areas.setdefault(difference.area, []).append(difference)
    return areas
