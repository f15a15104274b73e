"""docs/masks.md has every row of the tables, as they are."""

from __future__ import annotations

import errno
import os

from seatrial.conformance.mask.features import FEATURES
from seatrial.conformance.mask.history import ROWS
from seatrial.conformance.mask.rule import Rule

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs", "masks.md")


def effect(rules: tuple[Rule, ...]) -> str:
    """What fails and how: `clone3 (argument 2 is at least 0x58): E2BIG`."""
    parts = []
    for rule in rules:
        where = f" ({' and '.join(str(test) for test in rule.tests)})" if rule.tests else ""
        parts.append(f"{rule.call}{where}: {errno.errorcode[rule.errno]}")
    return "; ".join(parts)


def tables() -> tuple[list[str], list[str]]:
    """The two tables in Markdown."""
    rows = [f"| `{row.name}` | {row.kernel[0]}.{row.kernel[1]} | {effect(row.rules)} | {row.source} |" for row in ROWS]
    features = [f"| `{feature.name}` | {effect(feature.rules)} | {feature.about} |" for feature in FEATURES]
    return rows, features


def test_every_row_is_in_the_guide() -> None:
    with open(DOCUMENT, encoding="utf-8") as file:
        lines = file.read().splitlines()
    rows, features = tables()
    assert [line for line in lines if line.startswith("| `")] == rows + features


def test_the_guide_names_the_options() -> None:
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    for word in ("--mask all", "no_new_privs", "call:mount_setattr", "runtime.masked("):
        assert word in text
