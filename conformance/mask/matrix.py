"""One run for each single feature: what breaks when a kernel lacks it, compared with the run without a mask."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import IO, Any

from seatrial.conformance.check import Selection, check
from seatrial.conformance.mask.names import features
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import CaseResult, Run

PLAIN = "no mask"
BROKEN = frozenset({outcome.FAILED, outcome.FLAKY, outcome.ENVIRONMENT_ERROR, outcome.HARNESS_BUG})


class _Cancelled(Exception):  # noqa: N818  (nothing is wrong)
    """Somebody pressed Ctrl-C: the runs end at their next entry."""


def judge(selection: Selection, jobs: int, stream: IO[str] | None = None) -> dict[str, Run]:
    """The run without a mask, then one for each feature, by name; `jobs` of them at a time, each in an airlock of its
    own and with one worker.  A line is printed for each that has ended.

    EnvironmentProblem and HarnessBug as check(); KeyboardInterrupt when all of them are gone.
    """
    out = stream or sys.stdout
    cancelled = threading.Event()
    names = [PLAIN, *features()]

    def listen(_entry: dict[str, Any]) -> None:
        if cancelled.is_set():
            raise _Cancelled

    def one(name: str) -> Run:
        if cancelled.is_set():
            raise _Cancelled
        run = check(_behind(selection, name), listen)
        seconds = float(run.end.get("seconds", 0.0))
        counts = summary.counts_line(summary.outcomes(run), outcome.OUTCOMES)
        print(f"{name:<24} {len(run.results):>5} cases in {seconds:6.1f} s: {counts}", file=out, flush=True)
        return run

    with ThreadPoolExecutor(jobs, thread_name_prefix="masked run") as pool:
        futures = {name: pool.submit(one, name) for name in names}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            cancelled.set()
            raise


def _behind(selection: Selection, name: str) -> Selection:
    """The selection for one of the runs."""
    if name == PLAIN:
        return replace(selection, workers=1, evidence=_place(selection, "no-mask"), masks=())
    return replace(selection, workers=1, evidence=_place(selection, name), masks=(name,), last_failed=None)


def _place(selection: Selection, name: str) -> str | None:
    return os.path.join(selection.evidence, name) if selection.evidence else None


def broken(plain: Run, masked: Run) -> list[CaseResult]:
    """The results, behind a mask, of cases that passed without it and fail with it."""
    passed = {result.case for result in plain.results if result.outcome == outcome.PASSED}
    return sorted(
        (result for result in masked.results if result.outcome in BROKEN and result.case in passed),
        key=lambda result: result.case,
    )


def print_matrix(runs: dict[str, Run], stream: IO[str] | None = None) -> None:
    """What broke behind which mask: a line for each mask, then each case with its masks and a reason."""
    out = stream or sys.stdout
    plain = runs[PLAIN]
    found = {name: broken(plain, run) for name, run in runs.items() if name != PLAIN}
    print(f"\n{'mask':<24} {'broken':>7} {'skipped':>8}   beside those without a mask", file=out)
    skipped = summary.outcomes(plain)[outcome.SKIPPED]
    for name, results in found.items():
        more = summary.outcomes(runs[name])[outcome.SKIPPED] - skipped
        print(f"{name:<24} {len(results) or '·':>7} {more or '·':>8}", file=out)
    cases: dict[str, dict[str, CaseResult]] = {}
    for name, results in found.items():
        for result in results:
            cases.setdefault(result.case, {})[name] = result
    for case, by_mask in sorted(cases.items()):
        print(f"\n{case}", file=out)
        for name, result in by_mask.items():
            print(f"    {name}: {summary.first_line(result.reason)}", file=out)
            if result.evidence:
                print(f"        seatrial replay {result.evidence}", file=out)
    total = sum(map(len, found.values()))
    print(f"\nmasks         {len(found)}: {total} cases broken that pass without a mask", file=out)


def exit_status(runs: dict[str, Run], status: Callable[[Run], int]) -> int:
    """The worst of all runs.  A run whose cases were all skipped behind its mask is no trouble, if there are some
    without a mask."""
    codes = [status(runs[PLAIN])]
    for name, run in runs.items():
        nothing = bool(run.results) and all(result.outcome == outcome.SKIPPED for result in run.results)
        if name != PLAIN and not nothing:
            codes.append(status(run))
    return max(codes)
