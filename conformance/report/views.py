"""Views of the results: JUnit XML, TAP, HTML, and the JSON lines themselves.  Nothing here judges anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.report.columns import columns
from seatrial.conformance.verdict.results import Run


def write_reports(runs: Sequence[Run], reports: Iterable[tuple[str, str]]) -> None:
    """Write each (format, path); EnvironmentProblem when a file cannot be written."""
    for form, path in reports:
        text = view(runs, form, path)
        try:
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error


def view(runs: Sequence[Run], form: str, path: str) -> str:
    """The text of a report.  JSON lines keep every run as it is; the other forms have runs of one runtime in one
    environment as one (see columns.py)."""
    if form == "json":
        from seatrial.conformance.report.lines import json_lines

        return json_lines(runs)
    merged = columns(runs)
    if form == "html":
        from seatrial.conformance.report.pages import html

        return html(merged, path)
    if form == "junit":
        from seatrial.conformance.report.junit import junit

        return junit([column.run for column in merged])
    from seatrial.conformance.report.tap import tap

    return tap([column.run for column in merged])
