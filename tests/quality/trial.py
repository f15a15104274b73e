"""Runs cases of the suite against a mutant, or against the runtime as it is, with the verdicts of `seatrial check`: one
warm pytest for each cgroup view, which forks for each mutant (docs/sensitivity.md)."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seatrial import runtime
from seatrial.conformance.engine.collect import collect
from seatrial.conformance.sensitivity.lanes import Lane, Lanes
from seatrial.conformance.verdict import outcome

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL = "control"  # the name of the mutant that has no bug


def write_wrapper(directory: str, name: str) -> tuple[str, str]:
    """A runtime's command line for a mutant; its path, and the path of the file that appears when the mutation has
    taken place."""
    path, marks = os.path.join(directory, f"runtime-{name}"), os.path.join(directory, f"marks-{name}")
    os.makedirs(marks, exist_ok=True)
    os.chmod(marks, 0o777)  # an ordinary user runs it, too
    mark = os.path.join(marks, "applied")
    place = os.path.dirname(os.path.dirname(os.path.abspath(str(runtime.__file__))))
    sites = ":".join(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
    words = [sys.executable, "-I", "-S", os.path.join(HERE, "mutant_runtime.py"), name, mark, place, sites]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    os.chmod(path, 0o755)
    return path, mark


@dataclass(frozen=True)
class Verdict:
    """What became of one case."""

    case: str
    outcome: str
    reason: str


class Judges:
    """`count` lanes for each cgroup view that is asked for.  A with statement ends them.

    They are not guarded: some bugs are about files of the host that can be written to, and CRIU needs the host.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free: dict[str, queue.SimpleQueue[Lane]] = {}
        self._lanes = contextlib.ExitStack()
        self._cases = [case.id for case in collect("all")]

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *_: object) -> None:
        self._lanes.close()

    @contextlib.contextmanager
    def lane(self, view: str) -> Iterator[Lane]:
        """A lane that nobody else has meanwhile.  What is written for its mutants must lie in its directory."""
        if view not in self._free:
            self._free[view] = queue.SimpleQueue()
            for lane in self._lanes.enter_context(Lanes(self._count, view, guarded=False)).lanes:
                self._free[view].put(lane)
        lane = self._free[view].get()
        try:
            yield lane
        finally:
            self._free[view].put(lane)

    def cases(self, names: Iterable[str]) -> list[str]:
        """The ids of all cases of these tests and classes.  AssertionError for one that is not there."""
        found = []
        for name in dict.fromkeys(names):
            those = [case for case in self._cases if case == name or case.startswith((f"{name}[", f"{name}::"))]
            assert those, f"no case {name}"
            found += those
        return list(dict.fromkeys(found))

    def judge(self, lane: Lane, path: str, names: Iterable[str], *, timeout: float = 10.0) -> list[Verdict]:
        """What the cases of these tests say of a runtime; `timeout` in seconds is for one command of it.

        EnvironmentProblem for a view that this host does not have, AssertionError when the suite itself fell over:
        that proves nothing about the runtime.
        """
        *answers, end = lane.ask(path, self.cases(names), stop=False, timeout=timeout)
        assert end["died"] is None, f"the process that judged {end['died']} died"
        verdicts = [Verdict(answer["case"], answer["outcome"], answer["reason"]) for answer in answers]
        broken = [f"{one.case}: {one.outcome}: {one.reason}" for one in verdicts if not judged(one)]
        assert not broken, "\n".join(broken)
        return verdicts


def judged(result: Verdict) -> bool:
    """Whether a result says something about the runtime: no harness bug, no trouble of the host."""
    return result.outcome in (outcome.PASSED, outcome.FAILED, outcome.SKIPPED)


def killers(results: Iterable[Verdict], before: dict[str, str]) -> list[Verdict]:
    """The results that failed although the runtime without a bug passes these cases."""
    return [
        result for result in results if result.outcome == outcome.FAILED and before.get(result.case) == outcome.PASSED
    ]
