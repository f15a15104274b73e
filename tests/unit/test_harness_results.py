"""Outcomes, exit statuses, verdicts, the results file and its views."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.report.views import view, write_reports
from seatrial.conformance.verdict import outcome, results, summary
from seatrial.conformance.verdict.results import CaseResult, Run

STAMP: dict[str, Any] = {
    "format": 1,
    "started": "2026-01-02T03:04:05Z",
    "spec": "1.3.0",
    "profile": "spec",
    "runtime": {"path": "/usr/bin/thing", "digest": "sha256:00ff", "name": "thing <1.0> & more"},
    "privilege": "root",
    "cgroup": {"view": "v1", "controllers": ["cpu", "memory"]},
    "accelerator": None,
    "airlock": True,
    "host": {"kernel": "6.1.0"},
}


def result(case: str, found: str, *requirements: str, reason: str = "", evidence: str | None = None) -> CaseResult:
    return CaseResult(case, requirements, found, "spec", reason, 0.5, 0.25, evidence)


@pytest.fixture
def run() -> Run:
    return Run(
        STAMP,
        [
            result("a/test_a.py::test_good", "passed", "config/hostname/1", "config/hostname/2"),
            result(
                "a/test_a.py::test_bad[x#1]",
                "failed",
                "config/hostname/2",
                reason="broken\x00 <b>\nsecond",
                evidence="/e",
            ),
            result("b/test_b.py::test_not", "skipped", "config/domainname/1", reason="root: no"),
            result("b/test_b.py::test_odd", "harness-bug", "config/domainname/2", reason="KeyError"),
        ],
        4,
        {"seconds": 3.5},
    )


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["passed"], 0),
        (["passed", "skipped", "expected-failure"], 0),
        (["passed", "failed"], 1),
        (["passed", "unexpected-pass"], 1),
        (["passed", "flaky"], 1),
        (["failed", "environment-error"], 2),
        (["failed", "environment-error", "harness-bug"], 3),
        (["skipped"], 2),
        ([], 2),
    ],
)
def test_exit_status_is_the_worst_that_happened(outcomes: list[str], status: int) -> None:
    assert outcome.exit_status(outcomes) == status


def test_fail_on_skip_makes_a_skip_a_finding_unless_it_is_expected() -> None:
    skipped = result("a/test_a.py::test_skipped", "skipped")
    passed = result("a/test_a.py::test_good", "passed")
    assert Run(STAMP, [passed, skipped]).exit_status(fail_on_skip=True) == 1
    assert Run(STAMP, [passed, skipped]).exit_status() == 0
    assert Run(STAMP, [passed]).exit_status(fail_on_skip=True) == 0
    assert Run(STAMP, [passed, replace(skipped, expected="no swap")]).exit_status(fail_on_skip=True) == 0
    assert Run(STAMP, [replace(skipped, expected="no swap")]).exit_status() == 2  # nothing ran


def test_failure_and_expectation_survive_the_file() -> None:
    odd = replace(result("a/test_a.py::test_odd", "expected-failure"), failure="crashed", expected="known [f.toml:1]")
    read = results.read(view([Run(STAMP, [odd])], "json", "x").splitlines())
    assert read[0].results == [odd]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["passed", "passed"], "verified"),
        (["passed", "skipped"], "verified"),
        (["passed", "failed"], "violated"),
        (["expected-failure"], "violated"),
        (["flaky", "passed"], "violated"),
        (["skipped", "skipped"], "not applicable"),
        (["environment-error"], "untested"),
        ([], "untested"),
    ],
)
def test_verdict_of_a_requirement(outcomes: list[str], verdict: str) -> None:
    assert outcome.requirement_verdict(outcomes) == verdict


def test_run_counts_requirements(run: Run) -> None:
    verdicts = run.verdicts()
    assert verdicts["config/hostname/1"] == "verified"
    assert verdicts["config/hostname/2"] == "violated"
    assert verdicts["config/domainname/1"] == "not applicable"
    assert verdicts["config/domainname/2"] == "untested"
    assert summary.totals(run)["verified"] == 1
    assert run.exit_status() == 3
    section = next(section for section in summary.sections(run) if section.name == "config.md#hostname")
    assert (section.total, section.score) == (2, 0.5)


def test_failures_come_with_the_heaviest_first(run: Run) -> None:
    assert [item.outcome for item in summary.failures(run)] == ["harness-bug", "failed"]


def test_results_file_reads_back(run: Run) -> None:
    again = results.read(view([run, run], "json", "x").splitlines())
    assert len(again) == 2
    assert again[1].stamp == run.stamp
    assert again[1].results == run.results
    assert again[1].end == run.end


def test_result_line_has_the_documented_members(run: Run) -> None:
    lines = [json.loads(line) for line in view([run], "json", "x").splitlines()]
    assert [line["kind"] for line in lines[:2]] == ["stamp", "plan"]
    expected = {"kind", "case", "requirements", "outcome", "profile", "reason", "seconds", "evidence"}
    assert all(expected <= set(line) for line in lines[2:-1])


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"kind": "other"}',
        '{"kind": "result"}',
        '{"kind": "result", "case": "c", "requirements": [], "outcome": "splendid", "profile": "spec", "reason": "",'
        ' "seconds": 0, "runtime_seconds": 0, "evidence": null}',
    ],
)
def test_foreign_lines_are_refused_with_their_number(line: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"^file:2: "):
        results.read(['{"kind": "stamp"}', line], "file")


def test_junit_is_xml_with_counts_and_requirements(run: Run) -> None:
    root = ElementTree.fromstring(view([run], "junit", "x").partition("\n")[2])
    suite = root.find("testsuite")
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    bad = cases["test_bad[x#1]"]
    assert bad.get("classname") == "a.test_a"
    failure = bad.find("failure")
    assert failure is not None
    assert failure.text == "broken\\x00 <b>\nsecond"
    assert bad.findtext("system-out") == "requirement config/hostname/2\nevidence /e"
    stamp = {item.get("name"): item.get("value") for item in suite.findall("properties/property")}
    assert stamp["runtime.digest"] == "sha256:00ff"
    assert stamp["cgroup.controllers"] == "cpu memory"


def test_tap_numbers_every_case_and_escapes_its_name(run: Run) -> None:
    lines = view([run], "tap", "x").splitlines()
    assert lines[:2] == ["TAP version 13", "1..4"]
    points = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert points == [
        "ok 1 - a/test_a.py::test_good",
        "not ok 2 - a/test_a.py::test_bad[x\\x231]",
        "ok 3 - b/test_b.py::test_not # SKIP root: no",
        "not ok 4 - b/test_b.py::test_odd",
    ]


def test_html_escapes_what_a_runtime_says_and_names_every_requirement(run: Run) -> None:
    page = view([run], "html", "x")
    assert "broken\\x00 &lt;b&gt;" in page
    assert "thing &lt;1.0&gt; &amp; more" in page
    assert page.count("<td data-column") == len(run.verdicts())
    assert "seatrial replay /e" in page
    # Nothing is fetched: the only addresses are those of links to the spec, and they are data until they are clicked.
    assert not re.search(r"(?:src|href|url|import)[=(\s'\"]+https?:", page)


def test_unwritable_report_is_an_environment_problem(run: Run) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        write_reports([run], [("tap", "/proc/no/such")])
