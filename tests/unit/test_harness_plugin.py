"""The pytest plugin, run as users run it: in a process of its own, over cases written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_run import by_case, run_cases


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('@covers("no/such/1")', "not in the ledger: no/such/1"),
        ('@covers("config/hostname/1")\n@needs("moonlight")', "unknown need 'moonlight'"),
        ('@covers("config/hostname/1")\n@profile("podman")', "unknown profile 'podman'"),
        ("@pytest.mark.covers('no/such/2')", "not in the ledger: no/such/2"),
        ("@pytest.mark.covers('config/hostname/1')\n@pytest.mark.needs('moonlight')", "unknown need 'moonlight'"),
    ],
)
def test_unknown_word_is_a_collection_error(tmp_path: Path, mark: str, complaint: str) -> None:
    status, entries, output = run_cases(tmp_path, f"{mark}\ndef test_one():\n    pass\n")
    assert status == 2
    assert complaint in output
    found = [entry for entry in entries if entry["kind"] == "result"]
    assert [entry["outcome"] for entry in found] == ["harness-bug"]


def test_every_outcome_has_its_cause(tmp_path: Path) -> None:
    cases = """
COVER = covers("config/hostname/1")

@COVER
def test_passed(): pass

@COVER
def test_failed():
    assert 1 == 2

@COVER
def test_finding(): raise Finding("it is wrong")

@COVER
def test_missing_file(): open("/no/such/file")

@COVER
def test_environment(): raise EnvironmentProblem("no disk")

@COVER
def test_full_disk(): raise OSError(28, "No space left on device")

@COVER
def test_bug(): raise HarnessBug("mine")

@COVER
@needs("kernel>=99.0")
def test_skipped(runtime): pass

@pytest.fixture
def bad_teardown():
    yield
    raise Finding("left behind: a sock")

@COVER
def test_teardown(bad_teardown): pass
"""
    _, entries, _ = run_cases(tmp_path, cases)
    assert [entry["kind"] for entry in entries[:2]] == ["stamp", "plan"]
    assert entries[-1]["kind"] == "end"
    found = by_case(entries)
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "test_passed": "passed",
        "test_failed": "failed",
        "test_finding": "failed",
        "test_missing_file": "failed",
        "test_environment": "environment-error",
        "test_full_disk": "environment-error",
        "test_bug": "harness-bug",
        "test_skipped": "skipped",
        "test_teardown": "failed",
    }
    assert found["test_finding"][1] == "it is wrong"
    assert found["test_skipped"][1].startswith("kernel>=99.0: kernel ")
    assert found["test_teardown"][1] == "left behind: a sock"


def test_surprise_is_our_bug_only_with_a_runtime_that_works(tmp_path: Path) -> None:
    cases = '@covers("config/hostname/1")\ndef test_typo(runtime):\n    runtime.no_such_thing\n'
    _, entries, _ = run_cases(tmp_path, cases, runtime="/bin/false")
    assert by_case(entries)["test_typo"][0] == "failed"
    cases = cases.replace("runtime.no_such", "runtime.sane = lambda: True\n    runtime.no_such")
    _, entries, _ = run_cases(tmp_path, cases, runtime="/bin/false")
    assert by_case(entries)["test_typo"][0] == "harness-bug"


def test_profiles_are_never_folded(tmp_path: Path) -> None:
    cases = """
@covers("config/hostname/1")
def test_both(): pass

@covers("config/hostname/1")
@profile("spec")
def test_by_the_document(): pass

@covers("config/hostname/1")
@profile("runc-compat")
def test_by_practice(): pass
"""
    for profile, other in (("spec", "test_by_the_document"), ("runc-compat", "test_by_practice")):
        _, entries, _ = run_cases(tmp_path, cases, "--profile", profile)
        assert set(by_case(entries)) == {"test_both", other}
        assert {entry["profile"] for entry in entries if entry["kind"] in ("stamp", "result")} == {profile}
        (tmp_path / "results.jsonl").unlink()


def test_shards_part_the_cases(tmp_path: Path) -> None:
    names = [f"test_{number}" for number in range(20)]
    cases = "".join(f'@covers("config/hostname/1")\ndef {name}(): pass\n' for name in names)
    seen: list[str] = []
    for shard in ("1/3", "2/3", "3/3"):
        _, entries, _ = run_cases(tmp_path, cases, "--shard", shard)
        seen += by_case(entries)
        (tmp_path / "results.jsonl").unlink()
    assert sorted(seen) == sorted(names)
    status, _, output = run_cases(tmp_path, cases, "--shard", "4/3")
    assert status == 4
    assert "expected I/N" in output


def test_failure_leaves_evidence(tmp_path: Path) -> None:
    cases = """
@covers("config/hostname/1")
def test_run(bundle, report):
    bundle.config["hostname"] = "trial"
    report(bundle)
"""
    _, entries, _ = run_cases(tmp_path, cases, "--evidence", str(tmp_path / "evidence"), runtime="/bin/false")
    line = next(entry for entry in entries if entry["kind"] == "result")
    directory = Path(line["evidence"])
    assert json.loads((directory / "config.json").read_text())["hostname"] == "trial"
    command = json.loads((directory / "commands.json").read_text())[0]
    assert command["argv"][0] == "/bin/false"
    assert command["status"] == 1
    assert "PATH" in command["env"]
    assert json.loads((directory / "stamp.json").read_text())["runtime"]["path"] == "/bin/false"
    assert " - proc " in (directory / "mountinfo.txt").read_text()
    case = json.loads((directory / "case.json").read_text())
    assert case["test"].endswith("test_cases.py::test_run")


def test_stuck_case_is_a_finding(tmp_path: Path) -> None:
    cases = """
import os
@covers("config/hostname/1")
def test_waits(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    open(tmp_path / "fifo")
"""
    _, entries, _ = run_cases(tmp_path, cases, "--runtime-timeout", "0.1")
    assert by_case(entries)["test_waits"] == ("failed", "the case is not finished after 0.6 s")


def test_missing_runtime_stops_the_run_before_any_case(tmp_path: Path) -> None:
    cases = '@covers("config/hostname/1")\ndef test_one(): pass\n'
    status, entries, output = run_cases(tmp_path, cases, runtime="/no/such/runtime")
    assert (status, entries) == (2, [])
    assert "no runtime at /no/such/runtime" in output


def test_worker_that_dies_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    cases = """
import os
COVER = covers("config/hostname/1")

@COVER
def test_dies():
    os._exit(9)

@COVER
@pytest.mark.parametrize("number", range(6))
def test_lives(number): pass
"""
    _, entries, _ = run_cases(tmp_path, cases, "-p", "xdist", "-n", "2")
    found = by_case(entries)
    assert found["test_dies"][0] == "harness-bug"
    assert "crashed" in found["test_dies"][1]
    assert [found[f"test_lives[{number}]"][0] for number in range(6)] == ["passed"] * 6
    assert entries[0]["kind"] == "stamp"
    assert entries[-1]["kind"] == "end"
