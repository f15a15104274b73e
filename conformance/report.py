"""Views of the results: JUnit XML, TAP, HTML, and the JSON lines themselves.  Nothing here judges anything."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from seatrial.conformance import outcome, summary
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.results import CaseResult, Run

TEMPLATES = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = "report.html.j2"


def write_reports(runs: Sequence[Run], reports: Iterable[tuple[str, str]]) -> None:
    """Write each (format, path); EnvironmentProblem when a file cannot be written."""
    for form, path in reports:
        text = VIEWS[form](runs)
        try:
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error


def json_lines(runs: Sequence[Run]) -> str:
    """The results file: for each run its stamp, its plan, its results and its end."""
    lines: list[str] = []
    for run in runs:
        lines.append(json.dumps({"kind": "stamp", **run.stamp}))
        lines += [result.line() for result in run.results]
        if run.end:
            lines.append(json.dumps({"kind": "end", **run.end}))
    return "".join(line + "\n" for line in lines)


def junit(runs: Sequence[Run]) -> str:
    """JUnit XML: one testsuite per run, the stamp as properties, ledger ids as a property of each case."""
    root = ElementTree.Element("testsuites", name="seatrial")
    for run in runs:
        counts = summary.outcomes(run)
        errors = counts[outcome.ENVIRONMENT_ERROR] + counts[outcome.HARNESS_BUG]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(run.name),
            tests=str(len(run.results)),
            failures=str(sum(counts[name] for name in outcome.FINDINGS)),
            errors=str(errors),
            skipped=str(counts[outcome.SKIPPED] + counts[outcome.EXPECTED_FAILURE]),
            time=f"{float(run.end.get('seconds', 0.0)):.3f}",
            timestamp=str(run.stamp.get("started", "")).rstrip("Z"),
            hostname=str(run.stamp.get("host", {}).get("kernel", "")),
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in flatten(run.stamp):
            ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
        for result in run.results:
            _junit_case(suite, result)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _junit_case(suite: ElementTree.Element, result: CaseResult) -> None:
    module, _, name = result.case.partition("::")
    classname = module.removesuffix(".py").replace("/", ".")
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(classname), name=_clean(name or module), time=f"{result.seconds:.3f}"
    )
    properties = ElementTree.SubElement(case, "properties")
    for requirement in result.requirements:
        ElementTree.SubElement(properties, "property", name="requirement", value=requirement)
    if result.evidence:
        ElementTree.SubElement(properties, "property", name="evidence", value=_clean(result.evidence))
    message = _clean(summary.first_line(result.reason))
    if result.outcome in outcome.FINDINGS:
        child = ElementTree.SubElement(case, "failure", type=result.outcome, message=message)
    elif result.outcome in (outcome.ENVIRONMENT_ERROR, outcome.HARNESS_BUG):
        child = ElementTree.SubElement(case, "error", type=result.outcome, message=message)
    elif result.outcome in (outcome.SKIPPED, outcome.EXPECTED_FAILURE):
        child = ElementTree.SubElement(case, "skipped", type=result.outcome, message=message)
    else:
        return
    child.text = _clean(result.reason)


def tap(runs: Sequence[Run]) -> str:
    """TAP version 14: expected failures are TODO, skipped cases SKIP."""
    results = [(run, result) for run in runs for result in run.results]
    lines = ["TAP version 14", f"1..{len(results)}"]
    previous: Run | None = None
    for number, (run, result) in enumerate(results, 1):
        if run is not previous:
            lines.append(f"# {_tap_text(run.name)}")
            previous = run
        good = result.outcome in (outcome.PASSED, outcome.SKIPPED)
        line = f"{'ok' if good else 'not ok'} {number} - {_tap_text(result.case)}"
        if result.outcome == outcome.SKIPPED:
            line += f" # SKIP {_tap_text(summary.first_line(result.reason))}"
        elif result.outcome == outcome.EXPECTED_FAILURE:
            line += f" # TODO {_tap_text(summary.first_line(result.reason))}"
        lines.append(line)
        if not good:
            lines += [
                "  ---",
                f"  outcome: {result.outcome}",
                f"  requirements: {json.dumps(list(result.requirements))}",
            ]
            lines += [f"  reason: {json.dumps(result.reason)}", f"  evidence: {json.dumps(result.evidence)}", "  ..."]
    return "\n".join(lines) + "\n"


def html(runs: Sequence[Run]) -> str:
    """One self-contained page: score by section, what failed and why, the requirement table, the stamp."""
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.undefined = jinja2.StrictUndefined
    return environment.get_template(TEMPLATE).render(
        runs=[_page(run, number) for number, run in enumerate(runs, 1)],
        requirements=_table(runs),
        verdicts=outcome.VERDICTS,
    )


def _page(run: Run, number: int) -> dict[str, Any]:
    totals = summary.totals(run)
    judged = totals[outcome.VERIFIED] + totals[outcome.VIOLATED]
    return {
        "anchor": f"run-{number}",
        "name": run.name,
        "stamp": run.stamp,
        "stamp_rows": [row for row in flatten(run.stamp) if row[0] != "format"],
        "totals": {name: totals[name] for name in outcome.VERDICTS},
        "score": f"{100 * totals[outcome.VERIFIED] / judged:.1f}" if judged else None,
        "judged": judged,
        "cases": summary.counts_line(summary.outcomes(run), outcome.OUTCOMES),
        "case_count": len(run.results),
        "seconds": float(run.end.get("seconds", 0.0)),
        "runtime_seconds": sum(result.runtime_seconds for result in run.results),
        "sections": [
            {
                "name": section.name,
                "total": section.total,
                "counts": {name: section.verdicts[name] for name in outcome.VERDICTS},
                "score": section.score,
            }
            for section in summary.sections(run)
        ],
        "failures": [
            {
                "case": result.case,
                "outcome": result.outcome,
                "requirements": result.requirements,
                "title": _clean(summary.first_line(result.reason)),
                "reason": _clean(result.reason),
                "evidence": result.evidence,
                "seconds": result.seconds,
            }
            for result in summary.failures(run)
        ],
    }


def _table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    columns = [summary.rows(run) for run in runs]
    table = []
    for cells in zip(*columns, strict=True):
        requirement = cells[0].requirement
        table.append(
            {
                "id": requirement.id,
                "chapter": requirement.chapter,
                "level": requirement.level,
                "text": requirement.text,
                "cells": [
                    {"verdict": cell.verdict, "reason": cell.reason, "cases": len(cell.results)} for cell in cells
                ],
            }
        )
    return table


def flatten(stamp: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """("runtime.digest", "sha256:...") pairs of a nested stamp; nulls are left out."""
    found: list[tuple[str, str]] = []
    for name, value in stamp.items():
        if isinstance(value, dict):
            found += flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found.append((prefix + name, " ".join(str(item) for item in value)))
        elif value is not None:
            found.append((prefix + name, str(value)))
    return found


def _clean(text: str) -> str:
    """Without the control characters that XML 1.0 does not admit."""
    return "".join(char for char in text if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff"))


def _tap_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")


VIEWS: dict[str, Callable[[Sequence[Run]], str]] = {"html": html, "junit": junit, "tap": tap, "json": json_lines}
