"""Works through the cells of a matrix: several machines side by side, each thread with a pool of its own."""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seatrial.conformance.engine.collect import Case
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.matrix.axes import Cell, slug
from seatrial.conformance.matrix.journal import Journal
from seatrial.conformance.matrix.part import Part, Terms
from seatrial.conformance.matrix.split import deal
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult, Run
from seatrial.vm.errors import MachineError
from seatrial.vm.machine import Pool

OVERHEAD = 300  # MiB of the host that a machine takes beside its memory
SMALLEST = 10  # cases of a part: a machine takes time to come up
CLOSING = 60.0  # seconds to wait for threads that are to end: one of them may be booting a machine


class Schedule:
    """What is to be done: `cases` by cell.  Journals lie in `directory`, and are continued if they are there."""

    def __init__(
        self,
        cases: Mapping[Cell, Sequence[Case]],
        terms: Terms,
        directory: str,
        tell: Callable[[Cell, dict[str, Any]], None],
    ) -> None:
        self.cases = cases
        self.terms = terms
        self.tell = tell
        cells = list(cases)
        self.journals: dict[Cell, Journal] = {}
        self._places: dict[Cell, str] = {}
        for cell in cells:
            name = slug(cell, cells)
            self._places[cell] = os.path.join(directory, name)
            self.journals[cell] = Journal(os.path.join(directory, f"{name}.jsonl"), cell)
        self._parts: list[Part] = []
        self._waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def left(self, cell: Cell) -> list[Case]:
        """The cases of a cell without a result."""
        return [case for case in self.cases[cell] if case.id not in self.journals[cell].done]

    def parts(self, jobs: int) -> list[Part]:
        """What is left, in parts for so many machines: with few cells each is cut, so that no machine is idle."""
        open_cells = [cell for cell in self.cases if self.left(cell)]
        hands = jobs // math.gcd(len(open_cells), jobs) if 0 < len(open_cells) < 2 * jobs else 1
        dealt = ((cell, self.left(cell)) for cell in open_cells)
        return [
            Part(cell, cases, self.terms, self.journals[cell], self._places[cell], self.tell)
            for cell, left in dealt
            for cases in deal(left, min(hands, math.ceil(len(left) / SMALLEST)))
            if cases
        ]

    def run(self, pools: Callable[[], Pool], jobs: int) -> None:
        """Work through everything.  When it is interrupted every machine is taken away before the exception goes on."""
        self._parts = self.parts(jobs)
        for part in self._parts:
            self._waiting.put(part)
        threads = [
            threading.Thread(target=self._serve, args=(pools,), name=f"matrix-{number}", daemon=True)
            for number in range(min(jobs, len(self._parts)))
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
        finally:
            self._stopped.set()
            for part in self._parts:
                part.stop()
            end = time.monotonic() + CLOSING
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))

    def runs(self) -> list[Run]:
        """The results of all cells that have any."""
        found = (journal.run(len(self.cases[cell])) for cell, journal in self.journals.items())
        return [run for run in found if run is not None]

    def _serve(self, pools: Callable[[], Pool]) -> None:
        """One thread: QEMU ends with the thread that started it."""
        with pools() as pool:
            while not self._stopped.is_set():
                try:
                    part = self._waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    part.work(pool)
                except (EnvironmentProblem, MachineError) as error:
                    self._fail(part, outcome.ENVIRONMENT_ERROR, str(error))
                except HarnessBug as error:
                    self._fail(part, outcome.HARNESS_BUG, str(error))
                except Exception as error:
                    self._fail(part, outcome.HARNESS_BUG, f"{type(error).__name__}: {error}")

    def _fail(self, part: Part, verdict: str, reason: str) -> None:
        """The rest of a part cannot be run."""
        if self._stopped.is_set():
            return  # it is not its fault: its machine was taken away
        journal = self.journals[part.cell]
        result = CaseResult("machine", (), verdict, self.terms.profile, reason, 0.0, 0.0, None)
        journal.trouble.append(result)
        self.tell(part.cell, {"kind": "result", "case": "machine", "outcome": verdict, "reason": reason})


def capacity(memory: int) -> int:
    """How many machines of so many MiB this host carries side by side: one for each CPU, as far as memory goes."""
    cpus = len(os.sched_getaffinity(0))
    available = _available()
    return max(1, min(cpus, available // (memory + OVERHEAD)) if available else cpus)


def _available() -> int:
    """MemAvailable in MiB (proc_meminfo(5)); 0 where it is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) // 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
