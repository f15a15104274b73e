"""Prints the table of mutants for docs/sensitivity.md; with --write it replaces the one there.

    PYTHONPATH=tests python tests/quality/table.py --write
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from conftest import run_control
from mutants import TABLE
from planting import Mutant
from test_mutants import TIMEOUT
from trial import HERE, Judges, killers, write_wrapper
from working_criu import criu_first_in_path

PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs", "sensitivity.md")
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def row(mutant: Mutant, before: dict[str, str], judges: Judges) -> tuple[str, bool]:
    """The mutant's line of the table, and whether a case noticed it."""
    with judges.lane(mutant.view) as lane:
        wrapper, mark = write_wrapper(lane.directory, mutant.name)
        results = judges.judge(lane, wrapper, mutant.cases, timeout=TIMEOUT)
    dead = killers(results, before) if os.path.exists(mark) else []
    case = f"`{dead[0].case}`" if dead else "**survives**"
    return f"| `{mutant.name}` | {mutant.bug} | {case} |\n", bool(dead)


def table() -> str:
    """The whole table, with a line above it that counts."""
    lines, killed = [], 0
    lanes = len(os.sched_getaffinity(0))
    with criu_first_in_path(), Judges(lanes) as judges:
        control = run_control(judges)
        with ThreadPoolExecutor(lanes) as threads:
            for line, dead in threads.map(lambda mutant: row(mutant, control.get(mutant.view, {}), judges), TABLE):
                lines.append(line)
                killed += dead
    head = f"Version {version('seatrial')}: {len(TABLE)} mutants, {killed} of them noticed.\n\n"
    return head + "| mutant | the runtime's bug | noticed by, among others |\n|---|---|---|\n" + "".join(lines)


def main() -> None:
    """Print the table, or put it into the page."""
    text = table()
    if "--write" not in sys.argv[1:]:
        print(text, end="")
        return
    with open(PAGE, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + text + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
