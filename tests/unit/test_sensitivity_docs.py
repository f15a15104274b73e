"""docs/sensitivity.json and sensitivity.md: the figures add up and reach the target, every survivor is explained."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location(
    "sensitivity_figures", os.path.join(os.path.dirname(HERE), "quality", "figures.py")
)
assert SPEC is not None
assert SPEC.loader is not None
figures: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(figures)

TARGET = 95.0  # per cent
LEAST = 400


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    data: dict[str, Any] = figures.load()
    return data


def test_the_figures_add_up(found: dict[str, Any]) -> None:
    rows = [row for family in found["operations"].values() for row in family.values()]
    assert sum(row["mutants"] for row in rows) == found["mutants"]
    assert sum(row["killed"] for row in rows) == found["killed"]
    assert all(0 <= row["killed"] <= row["mutants"] for row in rows)
    assert len(set(found["survivors"])) == len(found["survivors"]) == found["mutants"] - found["killed"]
    assert found["generated"] == found["mutants"] + len(found["equivalent"])
    assert found["kill_rate"] == found["killed"] * 10000 // found["mutants"] / 100


def test_there_are_enough_mutants(found: dict[str, Any]) -> None:
    assert found["mutants"] >= LEAST


def test_the_target_is_reached(found: dict[str, Any]) -> None:
    assert found["kill_rate"] >= TARGET


def test_every_survivor_is_explained(found: dict[str, Any]) -> None:
    known = figures.explanations(figures.page())
    assert {kind for _, kind, _ in known} <= {"equivalent", "hole"}
    assert all(why for _, _, why in known)
    unexplained = [name for name in found["survivors"] if not any(pattern.fullmatch(name) for pattern, _, _ in known)]
    assert unexplained == []


def test_nothing_is_explained_that_does_not_survive(found: dict[str, Any]) -> None:
    stale = [
        pattern.pattern
        for pattern, _, _ in figures.explanations(figures.page())
        if not any(pattern.fullmatch(name) for name in found["survivors"] + found["equivalent"])
    ]
    assert stale == []


def test_the_page_shows_these_figures(found: dict[str, Any]) -> None:
    assert figures.tables(found) in figures.page()
