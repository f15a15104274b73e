"""`seatrial report`: summaries and reports of stored results, side by side."""

from __future__ import annotations

import argparse

from seatrial.conformance.command.arguments import check_writable, report
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

PAGE = "seatrial-report.html"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("report", help="summaries of results files, and one page that compares them")
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON lines, as written by check --report json=FILE")
    parser.add_argument(
        "-o", "--output", metavar="PATH", help=f"write the HTML page here (default, without --report: {PAGE})"
    )
    parser.add_argument("--report", action="append", default=[], type=report, metavar="FORMAT=PATH")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Summaries and reports of stored results; the worst exit status of theirs, and 2 when one is incomplete."""
    from seatrial.conformance.engine.progress import header, print_summary
    from seatrial.conformance.report.columns import columns, incomplete
    from seatrial.conformance.report.text import visible
    from seatrial.conformance.report.views import write_reports
    from seatrial.conformance.verdict.results import read_file

    found = [(path, read_file(path)) for path in dict.fromkeys(options.files)]
    for path, of in found:
        if not of:
            raise EnvironmentProblem(f"no run in {path}: it should begin with a stamp")
    runs = [run for _, of in found for run in of]
    reports = [*options.report, *([("html", options.output)] if options.output else [])] or [("html", PAGE)]
    check_writable(reports)
    status = outcome.CLEAN
    for number, column in enumerate(columns(runs)):
        if number:
            print()
        print(visible(header(column.run.stamp)))
        print_summary(column.run)
        for note in column.notes:
            print(f"note          {visible(note)}")
        status = max(status, column.run.exit_status())
        if any(incomplete(part) for part in column.parts):
            status = max(status, outcome.ENVIRONMENT)
    write_reports(runs, reports)
    for form, path in reports:
        print(f"{form:<14}{path}")
    return status
