"""The expectation files that come with the harness: each entry is about something, and says why and where."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from seatrial.conformance.engine.collect import collect
from seatrial.conformance.verdict import baseline, expect

FINDINGS = Path(__file__).parents[2] / "docs" / "findings.md"


def anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def cases() -> list[str]:
    return [case.id for case in collect()]


def test_files_are_found_by_name() -> None:
    assert {"runc-1.1", "crun-1.8"} <= set(expect.shipped())
    assert os.path.isfile(expect.find("runc-1.1"))


@pytest.mark.parametrize("name", expect.shipped())
def test_entries_are_about_cases_of_the_suite(name: str, cases: list[str]) -> None:
    entries = expect.load([name])
    assert entries
    assert expect.stale(entries, cases) == []
    named = [case for entry in entries if entry.outcome in expect.STRICT for case in cases if entry.names(case)]
    assert len(named) == len(set(named)), sorted(case for case in named if named.count(case) > 1)


@pytest.mark.parametrize("name", expect.shipped())
def test_every_entry_has_a_runtime_a_reason_and_a_link(name: str) -> None:
    known = anchors(FINDINGS.read_text(encoding="utf-8"))
    runtime = name.partition("-")[0]
    for entry in expect.load([name]):
        assert entry.runtime is not None, entry.where
        assert entry.runtime.split()[0] == runtime, entry.where
        assert entry.link is not None, f"{entry.where}: no link"
        page, _, anchor = entry.link.partition("#")
        assert page == "docs/findings.md", entry.where
        assert anchor in known, f"{entry.where}: docs/findings.md has no heading for #{anchor}"


@pytest.mark.parametrize("name", expect.shipped())
def test_files_can_be_brought_up_to_date(name: str) -> None:
    text = Path(expect.find(name)).read_text(encoding="utf-8")
    head, blocks = baseline.split(text, name)
    assert head + "".join(blocks) == text
    assert len(blocks) == len(tomllib.loads(text)["expect"])
