"""Runs a sweep in the airlock, and adds up what it brings."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.sweep.worker import Order
from seatrial.conformance.verdict import outcome

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
    from seatrial.conformance.airlock.airlock import Request, open_airlock
    from seatrial.conformance.check import environment

    if os.geteuid() != 0:
        raise EnvironmentProblem("a sweep needs root: it stops the calls of processes that change their ids")
    scratch = Scratch()
    reader, writer = os.pipe()
    lifeline_out, lifeline_in = os.pipe()
    tallies = {name: Tally() for name in order.operations}
    process = None
    try:
        given = Order(**{**asdict(order), "workdir": scratch.work, "output": writer})
        command = [sys.executable, "-m", PROGRAM, json.dumps(asdict(given))]
        request = Request(command, view, order.runtime, lifeline_out, [writer], scratch.work, scratch.log)
        process = open_airlock(request, environment())
        os.close(writer)
        os.close(lifeline_out)
        trouble = _follow(reader, tallies, listen)
        _, complaint = process.communicate()
        with open(scratch.log, encoding="utf-8", errors="replace") as file:
            said = "\n".join([(complaint or b"").decode("utf-8", "replace").strip(), file.read()[-3000:].strip()])
    finally:
        os.close(lifeline_in)
        os.close(reader)
        if process is not None:
            process.wait()
        scratch.close()
    for kind, text in trouble:
        raise HarnessBug(text) if kind == "bug" else EnvironmentProblem(text)
    if process.returncode != outcome.CLEAN:
        family = EnvironmentProblem if process.returncode == outcome.ENVIRONMENT else HarnessBug
        raise family(f"the sweep ended with status {process.returncode}: {said.strip()}")
    return tallies


def _follow(reader: int, tallies: dict[str, Tally], listen: Callable[[dict[str, Any]], None]) -> list[tuple[str, str]]:
    trouble = []
    with open(reader, encoding="utf-8", closefd=False) as stream:
        for line in stream:
            entry = json.loads(line)
            tally = tallies[entry["operation"]]
            if "points" in entry:
                tally.points, tally.unsteady = len(entry["points"]), entry["unsteady"]
            elif "skipped" in entry:
                tally.skipped = entry["skipped"]
            elif "trouble" in entry:
                trouble.append((entry["kind"], f"{entry['operation']}: {entry['trouble']}"))
            else:
                tally.endings[entry["ending"]] += 1
                tally.findings.update(kind for kind in dict.fromkeys(kind for kind, _ in entry["findings"]))
            listen(entry)
    return trouble
