"""Runs cases of the suite against a mutant, or against the runtime as it is, just as `seatrial check` does."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Iterable

from seatrial import runtime
from seatrial.conformance.check import CASES, Selection, check
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult

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


def judge(
    path: str, cases: Iterable[str], *, view: str = "host", workers: int = 1, timeout: float = 10.0
) -> list[CaseResult]:
    """The results of these cases (node ids below conformance/cases) for a runtime; `timeout` in seconds is for one
    command of it.

    AssertionError when the suite itself fell over: that proves nothing about the runtime.
    """
    tests = tuple(os.path.join(CASES, case) for case in cases)
    selection = Selection(runtime=path, tests=tests, profile="all", view=view, workers=workers, timeout=timeout)
    results = check(selection, lambda entry: None).results
    broken = [f"{result.case}: {result.outcome}: {result.reason}" for result in results if not judged(result)]
    assert not broken, "\n".join(broken)
    return results


def judged(result: CaseResult) -> bool:
    """Whether a result says something about the runtime: no harness bug, no trouble of the host."""
    return result.outcome in (outcome.PASSED, outcome.FAILED, outcome.SKIPPED)


def killers(results: Iterable[CaseResult], before: dict[str, str]) -> list[CaseResult]:
    """The results that failed although the runtime without a bug passes these cases."""
    return [
        result for result in results if result.outcome == outcome.FAILED and before.get(result.case) == outcome.PASSED
    ]
