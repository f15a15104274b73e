"""--expect and --repeat in pytest's own words, and what becomes of them in the results file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from plugin_run import by_case, run_cases

CASES = """
COVER = covers("config/hostname/1")

@COVER
def test_good(): pass

@COVER
def test_bad():
    assert 1 == 2

@COVER
@pytest.mark.parametrize("word", ["a", "b"])
def test_words(word):
    assert word == "a"

@pytest.fixture
def leak():
    yield
    raise Finding("left behind: a sock")

@COVER
def test_leak(leak): pass

@COVER
@needs("kernel>=99.0")
def test_skipped(): pass
"""


def expecting(directory: Path, *entries: str) -> list[str]:
    """The option for a file of these entries: NAME, or NAME and further lines."""
    path = directory / "known.toml"
    text = ""
    for entry in entries:
        name, _, more = entry.partition("\n")
        text += f'[[expect]]\ncase = "*::{name}"\nreason = "because of {name}"\n{more}\n'
    path.write_text(text)
    return ["--expect", str(path)]


def lines(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["case"].rpartition("::")[2]: entry for entry in entries if entry["kind"] == "result"}


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]])
def test_expected_failures_are_xfailed_and_the_run_is_green(tmp_path: Path, options: list[str]) -> None:
    expected = expecting(tmp_path, "test_bad", "test_words[b]", "test_leak", 'test_skipped\noutcome = "skipped"')
    junit = tmp_path / "junit.xml"
    status, entries, output = run_cases(tmp_path, CASES, *expected, f"--junitxml={junit}", *options)
    assert status == 0, output
    found = lines(entries)
    assert {name: line["outcome"] for name, line in found.items()} == {
        "test_good": "passed",
        "test_bad": "expected-failure",
        "test_words[a]": "passed",
        "test_words[b]": "expected-failure",
        "test_leak": "expected-failure",
        "test_skipped": "skipped",
    }
    assert found["test_bad"]["reason"].startswith("assert 1 == 2")
    assert found["test_bad"]["expected"] == "because of test_bad [known.toml:1]"
    assert found["test_skipped"]["expected"].startswith("because of test_skipped")
    assert found["test_good"]["expected"] is None
    assert "3 xfailed" in output
    skipped = ElementTree.parse(junit).findall(".//skipped[@type='pytest.xfail']")
    assert {element.get("message") for element in skipped} >= {"because of test_bad [known.toml:1]"}


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]])
def test_unexpected_pass_fails_the_run(tmp_path: Path, options: list[str]) -> None:
    expected = expecting(tmp_path, "test_*")
    status, entries, output = run_cases(tmp_path, CASES, *expected, *options)
    assert status == 1
    assert by_case(entries)["test_good"] == (
        "unexpected-pass",
        "passed, although it was expected to fail: because of test_* [known.toml:1]",
    )
    assert by_case(entries)["test_bad"][0] == "expected-failure"
    assert by_case(entries)["test_skipped"][0] == "skipped"
    assert "[XPASS(strict)] because of test_*" in output


def test_expired_entry_is_told_in_the_finding(tmp_path: Path) -> None:
    status, entries, _ = run_cases(tmp_path, CASES, *expecting(tmp_path, "test_bad\nexpires = 2020-02-02"))
    assert status == 1
    outcome, reason = by_case(entries)["test_bad"]
    assert outcome == "failed"
    assert reason.endswith("the expectation expired on 2020-02-02: because of test_bad [known.toml:1]")


def test_our_own_trouble_is_never_excused(tmp_path: Path) -> None:
    cases = """
@covers("config/hostname/1")
def test_host(): raise EnvironmentProblem("no disk")

@covers("config/hostname/1")
def test_bug(): raise HarnessBug("mine")
"""
    status, entries, _ = run_cases(tmp_path, cases, *expecting(tmp_path, "test_*"))
    assert status == 1
    assert {name: outcome for name, (outcome, _) in by_case(entries).items()} == {
        "test_host": "environment-error",
        "test_bug": "harness-bug",
    }


@pytest.mark.parametrize(
    ("script", "kind"), [("kill -SEGV $$", "crashed"), ("sleep 60", "timeout"), ("exit 1", "failed")]
)
def test_crash_and_timeout_want_entries_of_their_own(tmp_path: Path, script: str, kind: str) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text(f'#!/bin/sh\ncase "$*" in *state*) {script};; esac\n')
    runtime.chmod(0o755)
    cases = '@covers("runtime/query-state/1")\ndef test_state(runtime):\n    runtime.state("x").check()\n'
    limit = ("--runtime-timeout", "2")
    _, entries, output = run_cases(tmp_path, cases, *expecting(tmp_path, "test_state"), *limit, runtime=str(runtime))
    line = lines(entries)["test_state"]
    assert line["outcome"] == ("expected-failure" if kind == "failed" else "failed"), output
    assert line["failure"] == (None if kind == "failed" else kind)
    (tmp_path / "results.jsonl").unlink()
    expected = expecting(tmp_path, f'test_state\noutcome = "{kind}"')
    status, entries, _ = run_cases(tmp_path, cases, *expected, *limit, runtime=str(runtime))
    assert lines(entries)["test_state"]["outcome"] == "expected-failure"
    assert status == 0


FLAKY = """
import pathlib
COVER = covers("config/hostname/1")

@COVER
def test_steady(): pass

@COVER
@pytest.mark.parametrize("word", ["a", "b"])
def test_flake(word):
    counter = pathlib.Path(__file__).with_name("count-" + word)
    counter.write_text("x" + (counter.read_text() if counter.exists() else ""))
    assert len(counter.read_text()) != 2, "the second time"

@COVER
def test_broken():
    assert False
"""


def test_repetitions_that_disagree_are_flaky(tmp_path: Path) -> None:
    status, entries, _ = run_cases(tmp_path, FLAKY, "--repeat", "3")
    assert status == 1
    plan = next(entry for entry in entries if entry["kind"] == "plan")
    assert plan["cases"] == 4
    found = by_case(entries)
    assert len([entry for entry in entries if entry["kind"] == "result"]) == 4
    assert found["test_steady"] == ("passed", "")
    assert found["test_flake[a]"][0] == "flaky"
    assert found["test_flake[a]"][1].startswith("1 of 3 repetitions failed: the second time")
    assert found["test_broken"][0] == "failed"


def test_known_flake_is_an_expected_failure(tmp_path: Path) -> None:
    expected = expecting(tmp_path, 'test_flake[*]\noutcome = "flaky"', "test_broken")
    status, entries, output = run_cases(tmp_path, FLAKY, "--repeat", "2", *expected, "-p", "xdist", "-n", "1")
    assert status == 0, output
    assert {name: outcome for name, (outcome, _) in by_case(entries).items()} == {
        "test_steady": "passed",
        "test_flake[a]": "expected-failure",
        "test_flake[b]": "expected-failure",
        "test_broken": "expected-failure",
    }


def test_evidence_of_each_repetition_is_kept(tmp_path: Path) -> None:
    cases = '@covers("config/hostname/1")\ndef test_run(bundle, report):\n    report(bundle)\n'
    base = tmp_path / "evidence"
    run_cases(tmp_path, cases, "--evidence", str(base), "--repeat", "2", runtime="/bin/false")
    found = sorted(path.name for path in base.iterdir())
    assert [name[-8:] for name in found] == ["-repeat1", "-repeat2"]
    case = json.loads((base / found[1] / "case.json").read_text())
    assert case["test"].endswith("test_cases.py::test_run")
    assert case["repetition"] == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--repeat", "0"], "--repeat: a number above 0"),
        (["--runtime-timeout", "0"], "seconds above 0"),
        (["--runtime-timeout", "nan"], "seconds above 0"),
        (["--expect", "/no/such.toml"], "cannot read the expectations /no/such.toml"),
    ],
)
def test_wrong_options_stop_before_any_case(tmp_path: Path, options: list[str], complaint: str) -> None:
    status, entries, output = run_cases(tmp_path, CASES, *options)
    assert (status, entries) == (4, [])
    assert complaint in output


def test_first_finding_stops_the_run(tmp_path: Path) -> None:
    cases = "".join(f'@covers("config/hostname/1")\ndef test_{n:02}():\n    assert {n} < 3\n\n' for n in range(9))
    _, entries, _ = run_cases(tmp_path, cases, "-x")
    assert list(by_case(entries)) == ["test_00", "test_01", "test_02", "test_03"]
    (tmp_path / "results.jsonl").unlink()
    _, entries, _ = run_cases(tmp_path, cases, "-x", *expecting(tmp_path, "test_03"))
    assert list(by_case(entries))[-2:] == ["test_03", "test_04"]  # an expected failure is no finding
