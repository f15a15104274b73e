"""Makes docs/sensitivity.json and the tables of docs/sensitivity.md from what `seatrial sensitivity --figures` wrote:

    python tests/quality/figures.py FIGURES.json

Which survivors are equivalent is said in the page's table of survivors.  A mutant that cannot be told from the runtime
is no mutant (it is counted apart): the kill rate is that of the others.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from seatrial.conformance.sensitivity.figures import group, rate

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


def data(raw: dict[str, Any], text: str) -> dict[str, Any]:
    """What docs/sensitivity.json says: the campaign's figures without the equivalent mutants, which are listed."""
    known = explanations(text)
    equivalent = [
        name
        for name in raw["survivors"]
        if next((kind for pattern, kind, _ in known if pattern.fullmatch(name)), "hole") == "equivalent"
    ]
    families: dict[str, dict[str, dict[str, int]]] = json.loads(json.dumps(raw["operations"]))
    for name in equivalent:
        families[name.partition("/")[0]][group(name)]["mutants"] -= 1
    mutants = raw["mutants"] - len(equivalent)
    return {
        "version": raw["version"],
        "views": raw["views"],
        "generated": raw["mutants"],
        "equivalent": equivalent,
        "mutants": mutants,
        "killed": raw["killed"],
        "kill_rate": rate(raw["killed"], mutants),
        "survivors": [name for name in raw["survivors"] if name not in equivalent],
        "operations": families,
        "not_reached": raw["not_reached"],
        "cases": raw["cases"],
    }


def tables(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{found['generated']} mutants were judged (version {found['version']}, cgroup views: "
        f"{', '.join(found['views'])}). {len(found['equivalent'])} of them are equivalent; of the other "
        f"{found['mutants']} the suite kills {found['killed']}: **{found['kill_rate']:.2f} %**, which leaves "
        f"{len(found['survivors'])} holes.",
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
        "By operation of the plan, module of the parent, or command (killed of how many, where not all are):",
        "",
    ]
    for family, title in TITLES.items():
        parts = [
            f"{name} {row['killed']}" + (f"/{row['mutants']}" if row["killed"] != row["mutants"] else "")
            for name, row in found["operations"][family].items()
            if row["mutants"]
        ]
        if parts:
            lines.append(f"* {title}: {', '.join(parts)}")
    return "\n".join([*lines, "", redundancy(found["cases"])]) + "\n"


def redundancy(cases: dict[str, Any]) -> str:
    """What is known of the cases' share, as Markdown."""
    known = cases["mutants_with_two_killers"] + cases["mutants_with_one_killer"]
    return (
        f"Of {known} mutants that were killed it is known whether a second case kills them: for "
        f"{cases['mutants_with_two_killers']} there is one, for {cases['mutants_with_one_killer']} there is none. So "
        f"{len(cases['needed'])} cases are needed: each for some mutant that nobody else notices. "
        f"{len(cases['redundant'])} of the others that noticed something are redundant: whatever they were seen to "
        "kill, another case kills too. Both lists are in `sensitivity.json` (`cases`)."
    )


def main() -> None:
    """Write both files."""
    with open(sys.argv[1], encoding="utf-8") as file:
        found = data(json.load(file), page())
    with open(DATA, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
        file.write("\n")
    before, _, rest = page().partition(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + tables(found) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
