"""The results of a cell on disk, line by line as they come, so that an interrupted matrix can go on.

A file holds what the cell's machines sent: a stamp for each machine, `start` and `result` lines; a case that took its
machine down has a result that says so.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.matrix.axes import Cell
from seatrial.conformance.verdict import results
from seatrial.conformance.verdict.results import CaseResult, Run


class Journal:
    """One cell's results.  `done` are the results by case; `seconds` what its machines worked for them, in seconds."""

    def __init__(self, path: str, cell: Cell) -> None:
        self.path = path
        self.cell = cell
        self.done: dict[str, CaseResult] = {}
        self.trouble: list[CaseResult] = []  # of the cell as a whole, not of a case; not kept for the next time
        self.stamps: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._lock = threading.Lock()
        if os.path.exists(path):
            self._load()

    def stamp(self, stamp: dict[str, Any]) -> None:
        """A machine has begun."""
        with self._lock:
            self.stamps.append(stamp)
            self._write({"kind": "stamp", **stamp})

    def start(self, case: str) -> None:
        """A case has begun."""
        with self._lock:
            self._write({"kind": "start", "case": case})

    def result(self, result: CaseResult) -> None:
        """A case has ended, one way or the other."""
        with self._lock:
            self.done[result.case] = result
            self._append(result.line())

    def worked(self, seconds: float) -> None:
        """A machine was busy for so long."""
        with self._lock:
            self.seconds += seconds

    def move_evidence(self, prefix: str, directory: str, cases: Iterable[str]) -> None:
        """The evidence of these cases, recorded as a path in a machine below `prefix`, is below `directory` now, or
        nowhere."""
        with self._lock:
            moved = {}
            for case in cases:
                result = self.done.get(case)
                if result is None or not result.evidence or not result.evidence.startswith(f"{prefix}/"):
                    continue
                path = os.path.join(directory, result.evidence.removeprefix(f"{prefix}/"))
                moved[case] = replace(result, evidence=path if os.path.isdir(path) else None)
            if moved:
                self.done |= moved
                self._rewrite(moved)

    def run(self, planned: int) -> Run | None:
        """All of it as one run, None before its first stamp.  It has an end when nothing is missing."""
        with self._lock:
            if not self.stamps:
                return None
            found = [*self.done.values(), *self.trouble]
            complete = len(self.done) >= planned
            end = {"seconds": round(self.seconds, 3), "workers": 1} if complete else {}
            return Run(self.stamps[0], found, planned, end)

    def _load(self) -> None:
        runs = results.read_file(self.path)
        for run in runs:
            self.stamps.append(run.stamp)
            self.done |= {result.case: result for result in run.results}
        self.seconds = sum(result.seconds for result in self.done.values())
        if any(run.cut for run in runs):  # take the half line away, or the next would be added to it
            with open(self.path, "r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def _rewrite(self, changed: Mapping[str, CaseResult]) -> None:
        """Put these results into the file in place of what it says of their cases."""
        with open(self.path, encoding="utf-8") as file:
            lines = file.readlines()
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            for line in lines:
                entry = json.loads(line)
                new = changed.get(entry["case"]) if entry["kind"] == "result" else None
                file.write(line if new is None else new.line() + "\n")
        os.replace(f"{self.path}.new", self.path)

    def _write(self, entry: dict[str, Any]) -> None:
        self._append(json.dumps(entry))

    def _append(self, line: str) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {self.path}: {error.strerror}") from error
