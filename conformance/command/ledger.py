"""`seatrial ledger`: the requirements, the cases that cover each, and why some have none."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.conformance.ledger.coverage import Row


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("ledger", help="print the requirements, the cases that cover them, and the gaps")
    parser.add_argument("--uncovered", action="store_true", help="only requirements without a case, with the reason")
    parser.add_argument("--section", metavar="PREFIX", help="only these, such as config-linux.md or runtime.md#create")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """The ledger, with the cases that cover each requirement."""
    from seatrial.conformance.engine.collect import collect
    from seatrial.conformance.ledger import coverage, ledger

    found = coverage.rows((case.id, case.requirements) for case in collect("all"))
    if options.section:
        found = [row for row in found if row.requirement.chapter.startswith(options.section)]
        if not found:
            chapters = dict.fromkeys(row.chapter for row in ledger.load().values())
            raise EnvironmentProblem(f"no section begins with {options.section}; there are {', '.join(chapters)}")
    shown = [row for row in found if not row.cases] if options.uncovered else found
    if options.json:
        print(json.dumps({"requirements": [_entry(row) for row in shown], "summary": _summary(found)}, indent=1))
        return outcome.CLEAN
    for row in shown:
        what = f"{len(row.cases):>3} cases" if row.cases else f"not covered: {_why(row)}"
        print(f"{row.requirement.id:<52} {row.requirement.level:<15} {what}")
    _print_summary(found)
    return outcome.CLEAN


def _why(row: Row) -> str:
    return f"{row.gap.kind}: {row.gap.reason}" if row.gap else "no reason is recorded"


def _entry(row: Row) -> dict[str, object]:
    from seatrial.conformance.ledger import ledger

    gap = None if row.cases or row.gap is None else {"kind": row.gap.kind, "reason": row.gap.reason}
    members = {field: getattr(row.requirement, field) for field in ledger.FIELDS}
    return {**members, "cases": list(row.cases), "uncovered": gap}


def _summary(found: list[Row]) -> dict[str, object]:
    from seatrial.conformance.ledger import coverage

    observable = [row for row in found if row.observable]
    return {
        "requirements": len(found),
        "covered": sum(1 for row in found if row.cases),
        "observable": len(observable),
        "observable_covered": sum(1 for row in observable if row.cases),
        "percent": round(coverage.percent(found), 1),
        "uncovered": {
            kind: sum(1 for row in found if not row.cases and row.gap and row.gap.kind == kind)
            for kind in coverage.KINDS
        },
    }


def _print_summary(found: list[Row]) -> None:
    counts = _summary(found)
    kinds = counts["uncovered"]
    assert isinstance(kinds, dict)
    why = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    print(
        f"{counts['requirements']} requirements, {counts['covered']} covered by a case"
        + (f"; not: {why}" if why else "")
    )
    if counts["observable"]:
        share = f"{counts['observable_covered']} covered: {counts['percent']} %"
        print(f"{counts['observable']} of them are observable from outside, {share}")
