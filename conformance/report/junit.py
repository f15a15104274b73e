"""JUnit XML, as Jenkins' schema junit-10.xsd admits it (GitLab and the actions for GitHub read the same).

That schema has no properties on a test case: its ledger ids and its evidence are in its system-out.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from seatrial.conformance.report.text import flatten, one_line, visible
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import CaseResult, Run

ERRORS = (outcome.ENVIRONMENT_ERROR, outcome.HARNESS_BUG)
NOT_JUDGED = (outcome.SKIPPED, outcome.EXPECTED_FAILURE)


def junit(runs: Sequence[Run]) -> str:
    """JUnit XML: one testsuite per run, with the stamp as properties."""
    root = ElementTree.Element("testsuites", name="seatrial")
    for run in runs:
        counts = summary.outcomes(run)
        host = run.stamp.get("host")
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=one_line(run.name),
            tests=str(len(run.results)),
            failures=str(sum(counts[name] for name in outcome.FINDINGS)),
            errors=str(sum(counts[name] for name in ERRORS)),
            skipped=str(sum(counts[name] for name in NOT_JUDGED)),
            time=f"{float(run.end.get('seconds', 0.0)):.3f}",
            timestamp=one_line(str(run.stamp.get("started", "")).rstrip("Z")),
            hostname=one_line(str(host.get("kernel", "")) if isinstance(host, dict) else ""),
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in flatten(run.stamp):
            ElementTree.SubElement(properties, "property", name=one_line(name), value=visible(value))
        for result in run.results:
            _case(suite, result)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, result: CaseResult) -> None:
    module, _, name = result.case.partition("::")
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=one_line(module.removesuffix(".py").replace("/", ".")),
        name=one_line(name or module),
        time=f"{result.seconds:.3f}",
    )
    if result.outcome in outcome.FINDINGS:
        tag = "failure"
    elif result.outcome in ERRORS:
        tag = "error"
    elif result.outcome in NOT_JUDGED:
        tag = "skipped"
    else:
        tag = None
    if tag is not None:
        message = one_line(summary.first_line(result.reason))
        child = ElementTree.SubElement(case, tag, type=result.outcome, message=message)
        child.text = visible(result.reason)
    notes = [f"requirement {one_line(name)}" for name in result.requirements]
    if result.evidence:
        notes.append(f"evidence {one_line(result.evidence)}")
    if notes:
        ElementTree.SubElement(case, "system-out").text = "\n".join(notes)
