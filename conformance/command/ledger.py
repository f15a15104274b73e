"""`seatrial ledger`: the requirements, and the cases that cover each."""

from __future__ import annotations

import argparse
import json

from seatrial.conformance import outcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("ledger", help="print the requirements and the cases that cover them")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
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
