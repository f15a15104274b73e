"""`seatrial museum`: old bugs of container runtimes, and the cases that would notice them."""

from __future__ import annotations

import argparse
import json

from seatrial.conformance.verdict import outcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("museum", help="print old bugs of runtimes and the cases that notice them")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="as one JSON object")
    forms.add_argument("--markdown", action="store_true", help="as docs/museum.md")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """The list, one line an exhibit."""
    from dataclasses import asdict

    from seatrial.conformance.ledger import museum

    exhibits = museum.load().values()
    if options.json:
        print(json.dumps({"exhibits": [asdict(exhibit) for exhibit in exhibits]}, indent=1))
    elif options.markdown:
        print(museum.page(exhibits), end="")
    else:
        for exhibit in exhibits:
            cases = f"{len(exhibit.cases)} cases" if exhibit.cases else "no case"
            print(f"{exhibit.id:<34} {cases:>8}  {exhibit.what}")
        shown = sum(1 for exhibit in exhibits if exhibit.cases)
        print(f"{len(exhibits)} exhibits, {shown} with cases; `seatrial check -k EXHIBIT` runs them")
    return outcome.CLEAN
