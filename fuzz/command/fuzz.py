"""`seatrial fuzz`: searches for what nobody wrote a case for; each kind of search is a module beside this one."""

from __future__ import annotations

import argparse
from typing import Any

from seatrial.fuzz.command import config, diff, lifecycle

# In the order of the help text; each has add(commands) and run(options), and imports what it needs when it runs.
KINDS: tuple[Any, ...] = (config, diff, lifecycle)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its kinds to the parser."""
    parser = commands.add_parser(
        "fuzz",
        help="search for what nobody wrote a case for",
        description="Searches with random, shrunk input.  docs/fuzzing.md says how to fuzz a runtime of your own.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for module in KINDS:
        module.add(kinds)
