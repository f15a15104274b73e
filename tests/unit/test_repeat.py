"""Repetitions of a case: the names that they have, and the one result that they give."""

from __future__ import annotations

import pytest

from seatrial.conformance.verdict import repeat
from seatrial.conformance.verdict.results import CaseResult


@pytest.mark.parametrize(
    ("nodeid", "case"),
    [
        ("a/test_a.py::test_x[repeat1of3]", "a/test_a.py::test_x"),
        ("a/test_a.py::test_x[p-q-repeat12of30]", "a/test_a.py::test_x[p-q]"),
        ("a/test_a.py::test_x[repeat1of3-p]", "a/test_a.py::test_x[p]"),
        ("a/test_a.py::test_x[repeat]", "a/test_a.py::test_x[repeat]"),
        ("a/test_a.py::test_x[my-repeat1of3rd]", "a/test_a.py::test_x[my-repeat1of3rd]"),
    ],
)
def test_name_of_a_case_does_not_change(nodeid: str, case: str) -> None:
    assert repeat.without(nodeid) == case


def merged(*outcomes: str, tolerated: bool = False) -> CaseResult:
    results = [
        CaseResult("c", ("r",), found, "spec", "" if found == "passed" else f"why {number}", 1, 0.5, None)
        for number, found in enumerate(outcomes)
    ]
    return repeat.merge(results, tolerated)


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        (["passed", "passed"], "passed"),
        (["failed", "failed"], "failed"),
        (["passed", "failed", "passed"], "flaky"),
        (["expected-failure", "unexpected-pass"], "flaky"),
        (["expected-failure", "expected-failure"], "expected-failure"),
        (["expected-failure", "failed"], "failed"),
        (["unexpected-pass", "unexpected-pass"], "unexpected-pass"),
        (["passed", "failed", "harness-bug"], "harness-bug"),
        (["passed", "environment-error"], "environment-error"),
        (["skipped", "skipped"], "skipped"),
        (["skipped", "passed"], "skipped"),
    ],
)
def test_outcome_of_repetitions(outcomes: list[str], found: str) -> None:
    result = merged(*outcomes)
    assert result.outcome == found
    assert (result.seconds, result.runtime_seconds) == (len(outcomes), len(outcomes) / 2)


def test_flaky_says_how_often_and_why() -> None:
    assert merged("passed", "failed", "failed").reason == "2 of 3 repetitions failed: why 1"


def test_tolerated_flake_is_an_expected_failure_never_a_pass() -> None:
    result = merged("passed", "expected-failure", tolerated=True)
    assert (result.outcome, result.reason) == ("expected-failure", "1 of 2 repetitions failed: why 1")
    assert merged("passed", "failed", "expected-failure", tolerated=True).outcome == "flaky"
