"""Runs a sweep in the airlock, and adds up what it brings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from seatrial.conformance.airlock.inside import converse
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sweep.worker import Order

PROGRAM = "seatrial.conformance.sweep.worker"


@dataclass(slots=True)
class Tally:
    """What came of one operation."""

    points: int = 0
    unsteady: int = 0
    skipped: str | None = None
    endings: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        """Points that were tried, reached or not."""
        return sum(self.endings.values())


def run(order: Order, view: str, listen: Callable[[dict[str, Any]], None]) -> dict[str, Tally]:
    """Sweep to the end; `listen` gets each entry as it comes.  The tallies by operation.

    EnvironmentProblem when a runtime cannot be swept here (it cannot do an operation without a fault, or there is no
    user notification), HarnessBug when a worker fell over.  A KeyboardInterrupt ends everything and is passed on.
    """
    if os.geteuid() != 0:
        raise EnvironmentProblem("a sweep needs root: it stops the calls of processes that change their ids")
    tallies = {name: Tally() for name in order.operations}

    def hear(entry: dict[str, Any]) -> None:
        tally = tallies[entry["operation"]]
        if "points" in entry:
            tally.points, tally.unsteady = len(entry["points"]), entry["unsteady"]
        elif "skipped" in entry:
            tally.skipped = entry["skipped"]
        elif "ending" in entry:
            tally.endings[entry["ending"]] += 1
            tally.findings.update(kind for kind in dict.fromkeys(kind for kind, _ in entry["findings"]))
        listen(entry)

    converse(PROGRAM, asdict(order), view, order.runtime, hear)
    return tallies
