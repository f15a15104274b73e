"""The two HTML pages: one run, and the comparison of several columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seatrial.conformance.ledger import ledger
from seatrial.conformance.report.columns import Column
from seatrial.conformance.report.matrix import matrix
from seatrial.conformance.report.render import evidence_link, render
from seatrial.conformance.report.text import flatten
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import fact


def html(columns: Sequence[Column], page: str) -> str:
    """One self-contained page; `page` is the path that it will have, for links to evidence.

    A single column is shown as a run: its score, what failed and why, score by section, the stamp.  Several are
    compared: requirement by requirement.
    """
    template = "run.html.j2" if len(columns) == 1 else "comparison.html.j2"
    labels = column_labels(columns)
    return render(
        template,
        "matrix.js",
        columns=[_column(column, label, page) for column, label in zip(columns, labels, strict=True)],
        table=matrix(columns, page),
        verdicts=outcome.VERDICTS,
        spec=ledger.SPEC_VERSION,
    )


def column_labels(columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
    """The runtime's name of each column, and the facts by which it differs from the others.  Different binaries of one
    name show their digests."""
    names = [column.run.name for column in columns]
    digests = [fact(column.run.stamp, "runtime", "digest") for column in columns]
    facts = [column.environment.facts() for column in columns]
    differing = [number for number in range(len(facts[0])) if len({values[number] for values in facts}) > 1]
    labels = []
    for name, digest, values in zip(names, digests, facts, strict=True):
        parts = [f"{values[number][0]} {values[number][1]}" for number in differing if values[number][1] != "none"]
        if len({other for other, of in zip(digests, names, strict=True) if of == name}) > 1:
            parts.insert(0, digest[:19])
        labels.append((name, parts))
    return labels


def _column(column: Column, label: tuple[str, list[str]], page: str) -> dict[str, Any]:
    run = column.run
    totals = summary.totals(run)
    judged = totals[outcome.VERIFIED] + totals[outcome.VIOLATED]
    return {
        "name": label[0],
        "differs": label[1],
        "path": fact(run.stamp, "runtime", "path"),
        "digest": fact(run.stamp, "runtime", "digest"),
        "started": fact(run.stamp, "started"),
        "facts": column.environment.facts(),
        "sources": list(dict.fromkeys(part.source for part in column.parts if part.source)),
        "notes": column.notes,
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
            }
            for section in summary.sections(run)
        ],
        "failures": [
            {
                "case": result.case,
                "outcome": result.outcome,
                "requirements": result.requirements,
                "title": summary.first_line(result.reason),
                "reason": result.reason,
                "evidence": result.evidence,
                "link": evidence_link(result.evidence, page) if result.evidence else None,
            }
            for result in summary.failures(run)
        ],
    }
