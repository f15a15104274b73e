"""Makes the tables of docs/sensitivity.md from docs/sensitivity.json: `python tests/quality/figures.py --write`."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")
PAGE, DATA = os.path.join(DOCS, "sensitivity.md"), os.path.join(DOCS, "sensitivity.json")
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
TITLES = {
    "plan": "operations of the plan",
    "step": "steps of the parent",
    "file": "control files and id maps",
    "answer": "answers of the command line",
    "status": "exit statuses",
}


def load() -> dict[str, Any]:
    """The figures."""
    with open(DATA, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def page() -> str:
    """The page."""
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def explanations(text: str) -> list[tuple[re.Pattern[str], str, str]]:
    """(pattern, "equivalent" or "hole", why) of each row in the page's table of survivors."""
    table = text.partition("<!-- survivors: begin -->\n")[2].partition("<!-- survivors: end -->")[0]
    found = []
    for line in table.splitlines()[2:]:
        names, kind, why = (cell.strip() for cell in line.strip().strip("|").split(" | ", 2))
        for name in re.findall(r"`([^`]+)`", names):
            pattern = re.compile(re.escape(name).replace(r"\*", ".*"))
            found.append((pattern, kind, why))
    return found


def tables(found: dict[str, Any], text: str) -> str:
    """The figures as Markdown."""
    known = explanations(text)
    kinds = [next((kind for pattern, kind, _ in known if pattern.fullmatch(name)), "?") for name in found["survivors"]]
    lines = [
        f"{found['mutants']} mutants, {found['killed']} killed: **{found['kill_rate']:.2f} %** (version "
        f"{found['version']}, cgroup views: {', '.join(found['views'])}). Of the {len(kinds)} survivors "
        f"{kinds.count('equivalent')} are equivalent, {kinds.count('hole')} are holes.",
        "",
        "| what is wrong | mutants | killed | |",
        "|---|---|---|---|",
    ]
    for family, title in TITLES.items():
        rows = found["operations"][family].values()
        mutants, killed = sum(row["mutants"] for row in rows), sum(row["killed"] for row in rows)
        if mutants:
            lines.append(f"| {title} | {mutants} | {killed} | {100 * killed / mutants:.1f} % |")
    lines += [
        "",
        "By operation of the plan, module of the parent, or command (all killed where one number stands):",
        "",
    ]
    for family, title in TITLES.items():
        groups = found["operations"][family].items()
        parts = [
            f"{name} {row['killed']}" + (f"/{row['mutants']}" if row["killed"] != row["mutants"] else "")
            for name, row in groups
        ]
        if parts:
            lines.append(f"* {title}: {', '.join(parts)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the tables, or put them into the page."""
    text = page()
    made = tables(load(), text)
    if "--write" not in sys.argv[1:]:
        print(made, end="")
        return
    before, _, rest = text.partition(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + made + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
