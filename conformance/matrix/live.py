"""What the terminal shows of a matrix: a line for each finding and each finished cell, a bar with the time that is left
on a terminal, a line of the same from time to time elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

from seatrial.conformance.engine.progress import BAD
from seatrial.conformance.engine.screen import Screen
from seatrial.conformance.matrix.axes import Cell
from seatrial.conformance.verdict import outcome, summary

# Seconds on an idle core: a machine until its first case, and a case; before anything has been measured.
START = {"tcg": 40.0, "kvm": 6.0}
CASE = {"tcg": 2.0, "kvm": 0.15}
EVERY = 60.0  # seconds between two lines where there is no terminal


class Live:
    """Hears the entries of all cells.  `left` says how many cases of each are to run, `jobs` how many machines at
    once."""

    def __init__(self, left: Mapping[Cell, int], jobs: int, stream: IO[str] | None = None) -> None:
        self._screen = Screen(stream)
        self.left = dict(left)
        self.jobs = jobs
        self.total = sum(left.values())
        self.done = 0
        self.seen: dict[Cell, Counter[str]] = {}
        self.begun: dict[Cell, float] = {}
        self.started = self._told = time.monotonic()
        self._first: float | None = None
        self._lock = threading.Lock()
        if self._screen.live:
            self._screen.start(self.total, 28, "{task.fields[rest]} left", rest="?")

    def hear(self, cell: Cell, entry: Mapping[str, Any]) -> None:
        """Take one entry of a cell."""
        with self._lock:
            if entry["kind"] == "stamp":
                self.begun.setdefault(cell, time.monotonic())
                self._first = self._first or time.monotonic()
            elif entry["kind"] == "result":
                self._result(cell, entry)

    def close(self) -> None:
        """Take the bar away."""
        self._screen.close()

    def rest(self) -> float:
        """Seconds that the rest will take, at the pace since the first machine was up."""
        elapsed = time.monotonic() - (self._first or self.started)
        return elapsed / self.done * (self.total - self.done) if self.done else 0.0

    def _result(self, cell: Cell, entry: Mapping[str, Any]) -> None:
        counts = self.seen.setdefault(cell, Counter())
        case, verdict = entry["case"], entry["outcome"]
        if verdict in BAD:
            self._screen.say(f"  {verdict}: {cell.label}: {case}: {summary.first_line(entry['reason'])}")
        if "::" not in case:
            return  # about the cell as a whole
        counts[verdict] += 1
        self.done += 1
        if counts.total() == self.left.get(cell):
            seconds = time.monotonic() - self.begun.get(cell, self.started)
            told = summary.counts_line(counts, outcome.OUTCOMES)
            self._screen.say(f"{cell.label:<28} {counts.total():>5} cases: {told}, {duration(seconds)}")
        if self._screen.moving:
            self._screen.move(completed=self.done, description=cell.label, rest=duration(self.rest()))
        elif time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self._screen.say(f"{self.done} of {self.total} cases, {duration(self.rest())} left")


def estimate(parts: int, cases: int, jobs: int, accelerator: str = "tcg") -> float:
    """Seconds that a matrix takes on idle cores, from what one took; a rough figure."""
    return (parts * START[accelerator] + cases * CASE[accelerator]) / max(1, min(jobs, parts))


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
