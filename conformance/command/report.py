"""`seatrial report`: summaries and reports of stored results."""

from __future__ import annotations

import argparse

from seatrial.conformance.command.arguments import check_writable, report
from seatrial.conformance.errors import EnvironmentProblem


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("report", help="make reports from results files")
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON lines, as written by check --report json=FILE")
    parser.add_argument("--report", action="append", default=[], type=report, metavar="FORMAT=PATH")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Summaries and reports of stored results."""
    from seatrial.conformance.progress import header, print_summary
    from seatrial.conformance.report import write_reports
    from seatrial.conformance.results import read_file

    runs = [run for path in options.files for run in read_file(path)]
    if not runs:
        raise EnvironmentProblem(f"no runs in {', '.join(options.files)}")
    check_writable(options.report)
    for run in runs:
        print(header(run.stamp))
        print_summary(run)
    write_reports(runs, options.report)
    return max(run.exit_status() for run in runs)
