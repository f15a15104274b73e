"""The command line `seatrial`: check, replay, report, ledger.  Exit status: 0 clean, 1 findings, 2 environment or
usage, 3 bug."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seatrial.conformance import outcome
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug

if TYPE_CHECKING:
    from seatrial.conformance.results import Run

INTERRUPTED = 130  # as shells report SIGINT
FORMATS = ("html", "junit", "tap", "json")
VIEWS = ("auto", "host", "v1", "v2", "hybrid")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="seatrial", description="Put OCI container runtimes through sea trials.")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    check = commands.add_parser("check", help="judge a runtime by the runtime-spec")
    add = check.add_argument
    add(
        "--runtime",
        action="append",
        metavar="PATH",
        help="the runtime to judge, again for more (default: the reference)",
    )
    add("-k", dest="keyword", metavar="EXPR", help="only cases whose name matches, as pytest's -k")
    add("-n", dest="workers", type=_positive, default=None, metavar="N", help="worker processes (default: CPUs + 1)")
    add(
        "--profile", choices=("spec", "runc-compat"), default="spec", help="by the document, or by what engines rely on"
    )
    add(
        "--report",
        action="append",
        default=[],
        type=_report,
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
    check.set_defaults(action=do_check)

    replay = commands.add_parser("replay", help="run the case of an evidence directory again")
    replay.add_argument("directory", metavar="DIR")
    replay.add_argument("--runtime", metavar="PATH", help="another runtime than the recorded one")
    replay.set_defaults(action=do_replay)

    report = commands.add_parser("report", help="make reports from results files")
    report.add_argument("files", nargs="+", metavar="FILE", help="JSON lines, as written by check --report json=FILE")
    report.add_argument("--report", action="append", default=[], type=_report, metavar="FORMAT=PATH")
    report.set_defaults(action=do_report)

    ledger = commands.add_parser("ledger", help="print the requirements and the cases that cover them")
    ledger.add_argument("--json", action="store_true", help="as one JSON object")
    ledger.set_defaults(action=do_ledger)
    return top


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 is expected")
    return int(text)


def _report(text: str) -> tuple[str, str]:
    form, equals, path = text.partition("=")
    if form not in FORMATS or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected FORMAT=PATH with one of {', '.join(FORMATS)}")
    return form, path


def do_check(options: argparse.Namespace) -> int:
    """Judge each runtime, print a summary of each, write the reports."""
    from seatrial.conformance.check import CASES, Selection, check
    from seatrial.conformance.progress import Progress, print_summary
    from seatrial.conformance.report import write_reports
    from seatrial.conformance.session import resolve_runtime

    if options.list:
        return _list(options)
    runtimes = [resolve_runtime(name) for name in options.runtime or [None]]
    _check_writable(options.report)
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


def _check_writable(reports: Sequence[tuple[str, str]]) -> None:
    for _, path in reports:
        directory = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(directory):
            raise EnvironmentProblem(f"no directory {directory} for the report {path}")


def do_replay(options: argparse.Namespace) -> int:
    """Run one recorded case again: same case, runtime, profile and view."""
    from seatrial.conformance import evidence, stamp
    from seatrial.conformance.check import Selection, check
    from seatrial.conformance.progress import header
    from seatrial.conformance.session import resolve_runtime

    case = evidence.read_case(options.directory)
    runtime = resolve_runtime(options.runtime or case["runtime"])
    digest = stamp.digest(os.path.realpath(runtime))
    if case["digest"] not in (None, digest):
        print(f"note: {runtime} is another binary than the recorded one ({case['digest'][:19]}, now {digest[:19]})")
    target = os.path.abspath(os.path.join(options.directory, "replay"))

    def hear(entry: dict[str, Any]) -> None:
        if entry["kind"] == "stamp":
            print(header(entry))

    selection = Selection(
        runtime=runtime,
        profile=case["profile"],
        tests=(case["test"],),
        view=case["view"] or "auto",
        timeout=case["timeout"],
        evidence=target,
    )
    run = check(selection, hear)
    for result in run.results:
        print(f"{result.outcome}: {result.case}")
        if result.reason:
            print("\n".join("    " + line for line in result.reason.splitlines()))
        if result.evidence:
            print(f"    evidence {result.evidence}")
    status = run.exit_status()
    print("not reproduced" if status == outcome.CLEAN else "reproduced" if status == outcome.FOUND else "no verdict")
    return status


def do_report(options: argparse.Namespace) -> int:
    """Summaries and reports of stored results."""
    from seatrial.conformance.progress import header, print_summary
    from seatrial.conformance.report import write_reports
    from seatrial.conformance.results import read_file

    runs = [run for path in options.files for run in read_file(path)]
    if not runs:
        raise EnvironmentProblem(f"no runs in {', '.join(options.files)}")
    _check_writable(options.report)
    for run in runs:
        print(header(run.stamp))
        print_summary(run)
    write_reports(runs, options.report)
    return max(run.exit_status() for run in runs)


def do_ledger(options: argparse.Namespace) -> int:
    """The ledger, with the cases that cover each requirement."""
    from seatrial.conformance import ledger
    from seatrial.conformance.collect import collect

    covering: dict[str, list[str]] = {name: [] for name in ledger.load()}
    for case in collect("all"):
        for name in case.requirements:
            covering[name].append(case.id)
    if options.json:
        rows = [
            {**{field: getattr(row, field) for field in ledger.FIELDS}, "cases": covering[row.id]}
            for row in ledger.load().values()
        ]
        print(json.dumps({"requirements": rows}, indent=1))
        return outcome.CLEAN
    for row in ledger.load().values():
        print(f"{row.id:<52} {row.level:<15} {len(covering[row.id]):>3} cases")
    covered = sum(1 for cases in covering.values() if cases)
    print(f"{len(covering)} requirements, {covered} covered by a case")
    return outcome.CLEAN


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    options = parser().parse_args(argv)
    if options.version:
        from importlib.metadata import version

        print(f"seatrial {version('seatrial')}")
        return outcome.CLEAN
    if options.command is None:
        parser().print_help()
        return outcome.ENVIRONMENT
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except EnvironmentProblem as error:
        print(f"seatrial: {error}", file=sys.stderr)
        return outcome.ENVIRONMENT
    except HarnessBug as error:
        print(f"seatrial: bug in the harness: {error}", file=sys.stderr)
        return outcome.BUG
    except KeyboardInterrupt:
        print("seatrial: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return outcome.ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main())
