"""The museum: what once broke in container runtimes, and the cases that would notice it today.

`museum.toml` is the table.  Each exhibit names its cases, or says why none can show it from outside on this host.
Its id and the word `museum` are keywords of those cases: `seatrial check -k CVE-2019-5736`, `seatrial check -k museum`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import tables

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "museum.toml")
KEYWORD = "museum"
FIELDS = {"id", "room", "what", "broke", "cases", "reason"}


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One old bug.  `broke` names runtimes and versions; `cases` are case ids, with or without their parameter;
    `reason` says why there are none, or what they leave out."""

    id: str
    room: str
    what: str
    broke: str
    cases: tuple[str, ...]
    reason: str


def parse(text: str) -> dict[str, Exhibit]:
    """Exhibits by id, in file order.  HarnessBug names the one that is malformed or repeated."""
    return tables.by_id(text, "museum", "exhibit", _exhibit)


def _exhibit(row: dict[str, object], number: int) -> Exhibit:
    where = f"museum: exhibit {number} ({row.get('id', 'without id')})"
    unknown = set(row) - FIELDS
    if unknown:
        raise HarnessBug(f"{where}: unknown members: {', '.join(sorted(unknown))}")
    values = {name: row.get(name, "") for name in ("id", "room", "what", "broke", "reason")}
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if len(texts) != len(values) or not all(texts[name] for name in ("id", "room", "what")):
        raise HarnessBug(f"{where}: id, room and what must be strings, and not empty")
    cases = row.get("cases", [])
    if not isinstance(cases, list) or not all(isinstance(case, str) and "::" in case for case in cases):
        raise HarnessBug(f"{where}: cases must be a list of case ids")
    if not cases and not texts["reason"]:
        raise HarnessBug(f"{where}: neither cases nor a reason")
    return Exhibit(texts["id"], texts["room"], texts["what"], texts["broke"], tuple(cases), texts["reason"])


@cache
def load() -> dict[str, Exhibit]:
    """The shipped museum."""
    with open(PATH, encoding="utf-8") as file:
        return parse(file.read())


@cache
def _by_case() -> dict[str, tuple[str, ...]]:
    """Case ids as museum.toml writes them -> the exhibits that they belong to."""
    found: dict[str, tuple[str, ...]] = {}
    for exhibit in load().values():
        for case in exhibit.cases:
            found[case] = (*found.get(case, ()), exhibit.id)
    return found


def keywords(case: str) -> set[str]:
    """What -k finds a case by besides its name: empty for a case that is in no exhibit."""
    found = {id for name in names_of(case) for id in _by_case().get(name, ())}
    return {KEYWORD, *found} if found else set()


def names_of(case: str) -> tuple[str, ...]:
    """The names that museum.toml may call a case by: its id, the id without parameter, and that of its class."""
    plain = case.partition("[")[0]
    return (case, plain, plain.rpartition("::")[0])


def missing(exhibits: Iterable[Exhibit], cases: Iterable[str]) -> list[str]:
    """`EXHIBIT: CASE` for each case that an exhibit names and that does not exist."""
    known = {name for case in cases for name in names_of(case)}
    return [f"{exhibit.id}: {case}" for exhibit in exhibits for case in exhibit.cases if case not in known]


def page(exhibits: Iterable[Exhibit]) -> str:
    """docs/museum.md."""
    rows = list(exhibits)
    shown = sum(1 for exhibit in rows if exhibit.cases)
    lines = [
        "# The museum",
        "",
        "What once broke in container runtimes, and the cases of the suite that notice it. This page is made from",
        "`conformance/ledger/museum.toml` by `seatrial museum --markdown`; a test compares the two. The facts are",
        "those of release notes, advisories and issues. The cases are deterministic where nothing else is said, and",
        "do no harm to the host if the bug is there: what could be lost is a file of ours.",
        "",
        "    seatrial check -k museum               all of them (with both profiles: also --profile runc-compat)",
        "    seatrial check -k CVE-2024-21626       the cases of one exhibit",
        "    seatrial museum                        this list, shorter",
        "",
        f"{len(rows)} exhibits, {shown} of them with cases. Where there is none, the last column says why.",
    ]
    for room in dict.fromkeys(exhibit.room for exhibit in rows):
        lines += ["", f"## {room}", "", "| exhibit | what broke | in | noticed by |", "|---|---|---|---|"]
        for exhibit in rows:
            if exhibit.room == room:
                noticed = "<br>".join(
                    [*(f"`{case}`" for case in exhibit.cases), *([exhibit.reason] if exhibit.reason else [])]
                )
                cells = [exhibit.id, exhibit.what, exhibit.broke, noticed]
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
