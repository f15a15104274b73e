"""`seatrial check`: judge runtimes by the runtime-spec."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from seatrial.conformance import cache
from seatrial.conformance.command.arguments import (
    FORMATS,
    VIEWS,
    check_writable,
    positive,
    report,
    seconds,
    shard,
    share,
)
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.conformance.check import Selection
    from seatrial.conformance.verdict.results import Run


def views(text: str) -> tuple[str, ...]:
    """The cgroup views of a list with commas, each once."""
    names = tuple(dict.fromkeys(text.split(",")))
    if wrong := [name for name in names if name not in VIEWS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r}: one of {', '.join(VIEWS)} is expected, or several of them")
    return names


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("check", help="judge a runtime by the runtime-spec")
    add = parser.add_argument
    add(
        "--runtime",
        action="append",
        metavar="PATH",
        help="the runtime to judge, again for more (default: the reference)",
    )
    add("-k", dest="keyword", metavar="EXPR", help="only cases whose name matches, as pytest's -k")
    add("-n", dest="workers", type=positive, default=None, metavar="N", help="worker processes (default: CPUs + 1)")
    add(
        "--profile", choices=("spec", "runc-compat"), default="spec", help="by the document, or by what engines rely on"
    )
    add(
        "--report",
        action="append",
        default=[],
        type=report,
        metavar="FORMAT=PATH",
        help=f"write a report: {', '.join(FORMATS)}",
    )
    add(
        "--mask",
        action="append",
        default=[],
        metavar="NAME",
        help="as if on another kernel (seatrial mask --list), again for more",
    )
    add(
        "--cgroup-view",
        type=views,
        default=("auto",),
        metavar="VIEW[,VIEW...]",
        help=f"the cgroup hierarchies that the runtime sees: {', '.join(VIEWS)}; of several, one after the other",
    )
    add("--evidence", metavar="DIR", default="seatrial-evidence", help="where failures leave their evidence")
    add("--list", action="store_true", help="print the cases that would run, and their requirements")
    add("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="for one invocation of the runtime (10)")
    _add_gating(parser.add_argument_group("gating", "which outcomes fail a run (docs/gating.md)"))
    _add_selection(parser.add_argument_group("which cases, how often"))
    parser.set_defaults(action=run)


def _add_gating(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--expect", action="append", default=[], metavar="FILE", help="known failures: a file, or one of those shipped")
    add("--write-expect", metavar="FILE", help="record what fails now in this file, and remove what passes")
    add("--fail-on-skip", action="store_true", help="a skipped case counts as a finding")
    add("--min-executed", type=share, metavar="N", help="exit status 2 if fewer cases were executed; N or N%%")


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--shard", type=shard, metavar="I/N", help="only the I-th of N parts of the cases")
    add("--repeat", type=positive, default=1, metavar="N", help="run each case N times; passes among failures: flaky")
    add("-x", dest="maxfail", action="store_const", const=1, default=0, help="stop at the first finding")
    add("--maxfail", type=positive, metavar="N", help="stop after N findings")
    add("--lf", "--last-failed", dest="last_failed", action="store_true", help="only what failed the last time")


def run(options: argparse.Namespace) -> int:
    """Judge each runtime, print a summary of each, write the reports."""
    from seatrial.conformance.check import CASES, Selection, check
    from seatrial.conformance.engine.progress import Progress, print_summary
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.conformance.mask.names import ALL, resolve_all
    from seatrial.conformance.report.views import write_reports
    from seatrial.conformance.verdict import expect

    if options.list:
        return _list(options)
    runtimes = [resolve_runtime(name) for name in options.runtime or [None]]
    check_writable(options.report)
    if options.write_expect:
        check_writable([("expect", options.write_expect)])
    expected = [os.path.abspath(path) if os.path.exists(path := expect.find(name)) else name for name in options.expect]
    expect.load(expected)  # to be told of a mistake before anything runs
    every_mask = ALL in options.mask
    if every_mask:
        _alone(options)
    else:
        resolve_all(options.mask)
    stamp = time.strftime("%Y%m%dT%H%M%S")
    runs: list[Run] = []
    status = outcome.CLEAN
    planned = [(runtime, view) for runtime in runtimes for view in options.cgroup_view]
    for number, (runtime, view) in enumerate(planned, 1):
        name = f"{stamp}-{os.getpid()}" if len(planned) == 1 else f"{stamp}-{os.getpid()}-{number}"
        selection = Selection(
            runtime=runtime,
            profile=options.profile,
            tests=(CASES,),
            keyword=options.keyword,
            # One more than there are CPUs: a case often waits, for a process to end or for the kernel.
            workers=options.workers or len(os.sched_getaffinity(0)) + 1,
            shard=options.shard,
            view=view,
            timeout=options.timeout,
            masks=tuple(dict.fromkeys(options.mask)),
            evidence=os.path.abspath(os.path.join(options.evidence, name)),
            expect=tuple(expected),
            repeat=options.repeat,
            maxfail=options.maxfail,
            last_failed=_memory(runtime),
            only_last_failed=options.last_failed,
        )
        if every_mask:
            status = max(status, _each_mask(selection, runs, options))
            continue
        progress = Progress()
        try:
            run = check(selection, progress.hear)
        finally:
            progress.close()
        runs.append(run)
        print_summary(run)
        excused = _record(options.write_expect, run) if options.write_expect else frozenset()
        status = max(status, run.exit_status(fail_on_skip=options.fail_on_skip, excused=excused))
        status = max(status, _enough(selection, run, options.min_executed))
    write_reports(runs, options.report)
    return status


def _alone(options: argparse.Namespace) -> None:
    """EnvironmentProblem for what `--mask all` cannot be combined with."""
    if set(options.mask) != {"all"}:
        raise EnvironmentProblem("--mask all takes every single feature in turn: give no other mask with it")
    if options.write_expect or options.last_failed:
        raise EnvironmentProblem("--mask all makes many runs: --write-expect and --last-failed are for one")


def _each_mask(selection: Selection, runs: list[Run], options: argparse.Namespace) -> int:
    """One run without a mask and one for each feature, added to `runs`; the exit status."""
    from seatrial.conformance.mask import matrix

    found = matrix.judge(selection, jobs=selection.workers)
    runs += found.values()
    matrix.print_matrix(found)
    return matrix.exit_status(found, lambda run: run.exit_status(fail_on_skip=options.fail_on_skip))


def _memory(runtime: str) -> str:
    """Where --lf finds what failed of this runtime."""
    import hashlib

    return os.path.join(cache.directory(), "last-failed", hashlib.sha256(runtime.encode()).hexdigest()[:16])


def _record(path: str, run: Run) -> frozenset[str]:
    """Bring the expectation file up to date; the cases that it excuses."""
    from seatrial.conformance.engine.collect import collect
    from seatrial.conformance.verdict import baseline

    changes = baseline.write(path, run, [case.id for case in collect()])
    print(f"{path}: {len(changes.added)} cases added, {len(changes.removed)} removed, {len(changes.known)} kept")
    for text in changes.expired:
        print(f"  expired, and still failing: {text}")
    return changes.excused


def _enough(selection: Selection, run: Run, wanted: tuple[int, bool] | None) -> int:
    """Green must mean that it ran: the exit status for a run that did not come to its end, or executed too little."""
    from seatrial.conformance.check import stopped_early

    if run.missing and not stopped_early(selection, run):
        print(f"incomplete    {run.missing} of {run.planned} planned cases have no result: a worker died")
        return outcome.BUG
    if run.missing:
        print(f"stopped       at finding {selection.maxfail}: {run.missing} of {run.planned} cases did not run")
    if wanted is not None:
        number, percent = wanted
        least = -(-number * run.planned // 100) if percent else number
        if run.executed < least:
            print(f"too little    {run.executed} cases were executed, --min-executed asks for {least}")
            return outcome.ENVIRONMENT
    return outcome.CLEAN


def _list(options: argparse.Namespace) -> int:
    from seatrial.conformance.engine.collect import collect

    cases = collect(options.profile, options.keyword, options.shard)
    for case in cases:
        print(f"{case.id}  {' '.join(case.requirements)}")
    if not cases:
        raise EnvironmentProblem("no case matches the selection")
    return outcome.CLEAN
