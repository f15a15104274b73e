"""The ledger and the cases: how much is covered, and that each gap has its reason."""

from __future__ import annotations

import json

import pytest

from seatrial.conformance import cli
from seatrial.conformance.engine.collect import collect
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import coverage, ledger

LEAST = 90.0  # per cent of the observable requirements


@pytest.fixture(scope="module")
def rows() -> list[coverage.Row]:
    return coverage.rows((case.id, case.requirements) for case in collect("all"))


def test_nine_of_ten_observable_requirements_have_a_case(rows: list[coverage.Row]) -> None:
    assert coverage.percent(rows) >= LEAST


def test_every_requirement_without_a_case_has_a_reason_and_no_other(rows: list[coverage.Row]) -> None:
    """Who adds a case removes the entry of what it covers from conformance/ledger/uncovered.toml."""
    assert coverage.mistakes(rows) == []


def test_reasons_agree_with_the_ledger(rows: list[coverage.Row]) -> None:
    for row in rows:
        if row.gap is None:
            continue
        requirement = row.requirement
        if row.gap.kind == "config-duty":
            assert requirement.subject == "config", requirement.id
        elif row.gap.kind == "caller-duty":
            assert requirement.subject == "caller", requirement.id
        elif row.gap.kind == "permission":
            assert requirement.level in ("MAY", "OPTIONAL"), requirement.id
        elif row.gap.kind == "not-observable":
            assert not row.observable, requirement.id
        elif row.gap.kind in ("hardware", "host"):
            assert set(requirement.needs) - {"root", "features", "cgroup2"}, requirement.id


def test_mistakes_of_the_table_are_named() -> None:
    names = list(coverage.gaps())
    everything = coverage.rows([("topic/test_x.py::test_all", list(ledger.load()))])
    assert len(coverage.mistakes(everything)) == len(names)
    assert coverage.mistakes(everything)[0] == f"{names[0]} is covered by topic/test_x.py::test_all: remove its entry"
    nothing = coverage.rows([])
    assert len(coverage.mistakes(nothing)) == len(nothing) - len(names)
    assert (coverage.percent(everything), coverage.percent(nothing), coverage.percent([])) == (100.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('["config/hostname/1"]\nkind = "open"\n', "kind and reason are expected"),
        ('["config/hostname/1"]\nkind = "lazy"\nreason = "x"\n', "kind must be one of"),
        ('["config/hostname/1"]\nkind = "open"\nreason = " "\n', "kind must be one of"),
        ('["no/such/1"]\nkind = "open"\nreason = "x"\n', "not in the ledger: no/such/1"),
        ("[[x]\n", "uncovered: "),
    ],
)
def test_malformed_table_is_a_bug_of_ours(text: str, complaint: str) -> None:
    with pytest.raises(HarnessBug) as caught:
        coverage.parse(text)
    assert complaint in str(caught.value)


def test_command_prints_gaps_with_their_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "--uncovered", "--section", "config-linux.md#intelrdt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all("not covered: " in line for line in lines[:-2])
    assert "observable from outside" in lines[-1]


def test_command_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "--json", "--section", "config.md"]) == 0
    document = json.loads(capsys.readouterr().out)
    summary = document["summary"]
    assert summary["requirements"] == len(document["requirements"])
    assert summary["covered"] + sum(summary["uncovered"].values()) == summary["requirements"]
    for row in document["requirements"]:
        assert bool(row["cases"]) != bool(row["uncovered"]), row["id"]


def test_unknown_section_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "--section", "config.html"]) == 2
    assert "no section begins with config.html; there are spec.md#" in capsys.readouterr().err
