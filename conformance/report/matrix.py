"""The table of every report page: a row for each requirement, a column for each runtime and environment.

The table itself is HTML.  What opens below a row (cases, reasons, evidence) is data, each text once: rows by the
thousand must not make a page of tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seatrial.conformance.ledger import ledger
from seatrial.conformance.report.columns import Column
from seatrial.conformance.report.render import evidence_link, spec_link
from seatrial.conformance.report.text import visible
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import CaseResult

FOREIGN = "not in this ledger"
SHORT = {
    outcome.VERIFIED: "verified",
    outcome.VIOLATED: "violated",
    outcome.NOT_APPLICABLE: "n/a",
    outcome.UNTESTED: "untested",
}


class Texts:
    """Each text once, by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text."""
        return self.numbers.setdefault(text, len(self.numbers))

    def all(self) -> list[str]:
        """Every text, by its number."""
        return list(self.numbers)


def matrix(columns: Sequence[Column], page: str) -> dict[str, Any]:
    """What matrix.html.j2 shows (`sections`, `levels`) and what matrix.js opens (`data`).

    `page` is the path that the page will have, for links to evidence.
    """
    table = [row.requirement for row in summary.rows(columns[0].run)]
    verdicts = [column.run.verdicts() for column in columns]
    covering = _covering(columns)
    foreign = sorted(set(covering) - {requirement.id for requirement in table})
    table += [_foreign(name) for name in foreign]
    for column, known in zip(columns, verdicts, strict=True):
        known.update(_foreign_verdicts(column, foreign))
    by_case = [{result.case: result.outcome for result in column.run.results} for column in columns]
    cases, texts = Texts(), Texts()
    sections: dict[str, list[dict[str, Any]]] = {}
    rows = []
    for requirement in table:
        chapter = FOREIGN if requirement.id in foreign else requirement.chapter
        found = [column[requirement.id] for column in verdicts]
        counts = [_counts(outcomes, covering.get(requirement.id, {})) for outcomes in by_case]
        cells = [
            {"verdict": verdict, "word": SHORT[verdict], "count": count}
            for verdict, count in zip(found, counts, strict=True)
        ]
        sections.setdefault(chapter, []).append({"requirement": requirement, "cells": cells})
        rows.append(
            {
                "id": requirement.id,
                "section": chapter,
                "level": requirement.level,
                "subject": requirement.subject,
                "observable": requirement.observable,
                "needs": list(requirement.needs),
                "link": spec_link(requirement) if requirement.file else "",
                "verdicts": [outcome.VERDICTS.index(verdict) for verdict in found],
                "cases": [cases.number(name) for name in covering.get(requirement.id, {})],
            }
        )
    results = [_results(column, cases, texts, page) for column in columns]
    return {
        "sections": sections,
        "levels": [level for level in ledger.LEVELS if any(row["level"] == level for row in rows)],
        "data": {
            "rows": rows,
            "verdicts": list(outcome.VERDICTS),
            "outcomes": list(outcome.OUTCOMES),
            "cases": [visible(name) for name in cases.all()],
            "texts": texts.all(),
            "results": results,
        },
    }


def _covering(columns: Sequence[Column]) -> dict[str, dict[str, None]]:
    """The cases that cover each requirement, in any column, in the order of their results."""
    found: dict[str, dict[str, None]] = {}
    for column in columns:
        for result in column.run.results:
            for name in result.requirements:
                found.setdefault(name, {})[result.case] = None
    return found


def _foreign(name: str) -> ledger.Requirement:
    return ledger.Requirement(name, "", "", "", "", "a requirement of another release of the ledger", "", (), "")


def _foreign_verdicts(column: Column, names: Sequence[str]) -> dict[str, str]:
    outcomes: dict[str, list[str]] = {name: [] for name in names}
    for result in column.run.results:
        for name in result.requirements:
            if name in outcomes:
                outcomes[name].append(result.outcome)
    return {name: outcome.requirement_verdict(found) for name, found in outcomes.items()}


def _counts(outcomes: dict[str, str], names: dict[str, None]) -> str:
    """`1 of 3` where some of several cases failed, else nothing."""
    found = [outcomes[name] for name in names if name in outcomes]
    bad = sum(1 for name in found if name in outcome.FINDINGS or name == outcome.EXPECTED_FAILURE)
    return f"{bad} of {len(found)}" if bad and len(found) > 1 else ""


def _reason(result: CaseResult) -> str:
    how = f"{result.failure}: " if result.failure else ""
    expected = f"\nexpected: {result.expected}" if result.expected else ""
    return how + result.reason + expected


def _results(column: Column, cases: Texts, texts: Texts, page: str) -> list[Any]:
    """By the number of the case: 0 where the column has no result, else [outcome, seconds], followed by the numbers of
    reason, link and directory of the evidence where there are some."""
    made: list[Any] = [0] * len(cases.numbers)
    for result in column.run.results:
        number = cases.numbers.get(result.case)
        if number is None:
            continue  # it covers nothing
        line: list[Any] = [outcome.OUTCOMES.index(result.outcome), round(result.seconds, 2)]
        if result.reason or result.evidence:
            line.append(texts.number(visible(_reason(result))))
        if result.evidence:
            line.append(texts.number(evidence_link(result.evidence, page)))
            line.append(texts.number(visible(result.evidence)))
        made[number] = line
    return made
