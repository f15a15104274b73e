"""`seatrial check`: judge runtimes by the runtime-spec."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from seatrial.conformance import outcome
from seatrial.conformance.command.arguments import FORMATS, check_writable, positive, report

if TYPE_CHECKING:
    from seatrial.conformance.results import Run

VIEWS = ("auto", "host", "v1", "v2", "hybrid")


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
    add("--cgroup-view", choices=VIEWS, default="auto", help="the cgroup hierarchies that the runtime sees")
    add("--evidence", metavar="DIR", default="seatrial-evidence", help="where failures leave their evidence")
    add("--shard", metavar="I/N", help="only the I-th of N parts of the cases")
    add("--fail-on-skip", action="store_true", help="a skipped case counts as a finding")
    add(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="for one invocation of the runtime (default: 10)"
    )
    add("--list", action="store_true", help="print the cases that would run, and their requirements")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Judge each runtime, print a summary of each, write the reports."""
    from seatrial.conformance.check import CASES, Selection, check
    from seatrial.conformance.progress import Progress, print_summary
    from seatrial.conformance.report.views import write_reports
    from seatrial.conformance.session import resolve_runtime

    if options.list:
        return _list(options)
    runtimes = [resolve_runtime(name) for name in options.runtime or [None]]
    check_writable(options.report)
    stamp = time.strftime("%Y%m%dT%H%M%S")
    runs: list[Run] = []
    status = outcome.CLEAN
    for number, runtime in enumerate(runtimes, 1):
        name = f"{stamp}-{os.getpid()}" if len(runtimes) == 1 else f"{stamp}-{os.getpid()}-{number}"
        selection = Selection(
            runtime=runtime,
            profile=options.profile,
            tests=(CASES,),
            keyword=options.keyword,
            # One more than there are CPUs: a case often waits, for a process to end or for the kernel.
            workers=options.workers or len(os.sched_getaffinity(0)) + 1,
            shard=options.shard,
            view=options.cgroup_view,
            timeout=options.timeout,
            evidence=os.path.abspath(os.path.join(options.evidence, name)),
        )
        progress = Progress()
        try:
            run = check(selection, progress.hear)
        finally:
            progress.close()
        runs.append(run)
        print_summary(run)
        status = max(status, run.exit_status(fail_on_skip=options.fail_on_skip))
    write_reports(runs, options.report)
    return status


def _list(options: argparse.Namespace) -> int:
    from seatrial.conformance.collect import collect

    for case in collect(options.profile, options.keyword, options.shard):
        print(f"{case.id}  {' '.join(case.requirements)}")
    return outcome.CLEAN
