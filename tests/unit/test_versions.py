"""Versions of runtimes and kernels."""

from __future__ import annotations

import pytest

from seatrial.conformance.verdict import versions


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("runc version 1.1.5+ds1", "1.1.5"),
        ("crun version 1.8.1", "1.8.1"),
        ("6.1.0-49-amd64", "6.1.0"),
        ("1.4.0-rc.1+dev", "1.4.0"),
        ("youki", ""),
        ("", ""),
    ],
)
def test_version_is_found_in_what_programs_say(text: str, version: str) -> None:
    assert versions.find(text) == version


@pytest.mark.parametrize(
    ("wanted", "good", "bad"),
    [
        ("", ["1.0", ""], []),
        ("1.1", ["1.1", "1.1.5"], ["1.10", "1", "2.1.1", ""]),
        (">=1.1 <1.3", ["1.1", "1.2.9"], ["1.3", "1.3.0", "1.0.9", ""]),
        (">1.1,!=1.2", ["1.1.1", "1.2.1"], ["1.1.0", "1.2.0"]),
        ("==1.2 ", ["1.2", "1.2.0"], ["1.2.1"]),
        ("<=5.10", ["5.4.200", "5.10.0"], ["5.10.1", "6.1"]),
    ],
)
def test_clauses_hold_for_numbers(wanted: str, good: list[str], bad: list[str]) -> None:
    assert [version for version in good + bad if versions.matches(wanted, version)] == good


@pytest.mark.parametrize("wanted", ["latest", ">=", "1.x", "~1.2", "=1", "1.1 or 1.2"])
def test_malformed_clause_is_told(wanted: str) -> None:
    with pytest.raises(ValueError, match="expected a version"):
        versions.matches(wanted, "1.0")
