"""The museum's table is checked: every exhibit has cases that exist, or a reason; the page says what the table says."""

from __future__ import annotations

import os

import pytest

from seatrial.conformance.engine.collect import collect
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import museum

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")
ROW = '[[exhibit]]\nid = "x-1"\nroom = "r"\nwhat = "w"\nbroke = "b"\n'


@pytest.fixture(scope="module")
def cases() -> list[str]:
    """The ids of all cases: collected once, for it takes seconds."""
    return [case.id for case in collect("all")]


def test_every_case_of_an_exhibit_exists(cases: list[str]) -> None:
    assert len(cases) > 1000
    assert museum.missing(museum.load().values(), cases) == []


def test_a_case_that_does_not_exist_is_noticed() -> None:
    exhibit = museum.Exhibit("x-1", "r", "w", "b", ("a/test_b.py::test_c", "a/test_b.py::test_d[1]"), "")
    assert museum.missing([exhibit], ["a/test_b.py::test_c[2]", "a/test_b.py::test_d[2]"]) == [
        "x-1: a/test_b.py::test_d[1]"
    ]


def test_exhibits_are_keywords_of_their_cases(cases: list[str]) -> None:
    exhibit = museum.load()["CVE-2019-5736"]
    found = {case.partition("[")[0] for case in cases if {exhibit.id, museum.KEYWORD} <= museum.keywords(case)}
    assert found == set(exhibit.cases)
    assert museum.keywords("lifecycle/test_state.py::test_nothing") == set()


def test_museum_is_complete() -> None:
    exhibits = museum.load().values()
    assert len(exhibits) >= 180
    assert {"CVE-2019-5736", "CVE-2021-30465", "CVE-2024-21626", "CVE-2025-52881", "CVE-2026-41579"} <= set(
        museum.load()
    )
    uncovered = [exhibit.id for exhibit in exhibits if exhibit.id.startswith("CVE-") and not exhibit.cases]
    assert uncovered == []


def test_page_is_that_of_the_table() -> None:
    with open(os.path.join(DOCS, "museum.md"), encoding="utf-8") as file:
        assert file.read() == museum.page(museum.load().values()), "run `seatrial museum --markdown > docs/museum.md`"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ROW + 'reason = "r"\n' + ROW + 'reason = "r"\n', "appears twice"),
        (ROW, "neither cases nor a reason"),
        (ROW + 'cases = ["test_x"]\n', "a list of case ids"),
        (ROW + 'color = "red"\n', "unknown members: color"),
        (ROW.replace('what = "w"', "what = 1") + 'reason = "r"\n', "must be strings"),
        ("[[exhibit]\n", "museum: "),
        ("other = 1\n", "only [[exhibit]]"),
    ],
)
def test_malformed_museum_is_a_bug_of_ours(text: str, complaint: str) -> None:
    with pytest.raises(HarnessBug) as caught:
        museum.parse(text)
    assert complaint in str(caught.value)
