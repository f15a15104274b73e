"""`pytest --pyargs seatrial.conformance`: the suite without our command line; other runs without the suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from seatrial.conformance.engine.collect import collect

CASES = ("-k", "test_delete_refuses or test_state_of")


def run(
    directory: Path,
    *options: str,
    runtime: str = "",
    env: dict[str, str] | None = None,
    named: tuple[str, ...] = ("seatrial.conformance",),
) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "--pyargs", *named, *options]
    if runtime:
        command += ["--runtime", runtime]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    return done.returncode, done.stdout + done.stderr


def results(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_cases_run_in_the_airlock(tmp_path: Path, workers: list[str]) -> None:
    path, junit = tmp_path / "results.jsonl", tmp_path / "junit.xml"
    status, output = run(tmp_path, *CASES, *workers, "--results", "results.jsonl", "--junitxml", "junit.xml")
    assert status == 0, output
    lines = results(path)
    assert lines[0]["airlock"] is True
    assert lines[-1]["kind"] == "end"
    cases = {str(line["case"]): line["outcome"] for line in lines if line["kind"] == "result"}
    assert set(cases.values()) == {"passed"}
    assert set(cases) == {case.id for case in collect("spec", CASES[1])}
    suite = ElementTree.parse(junit).find("testsuite")
    assert suite is not None
    assert int(suite.get("tests", "0")) == len(cases)
    assert sorted(os.listdir(tmp_path)) in (
        [".pytest_cache", "junit.xml", "results.jsonl"],
        ["junit.xml", "results.jsonl"],
    )


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    "named", [("lifecycle",), ("lifecycle.test_state", "lifecycle.test_delete")], ids=["folder", "modules"]
)
def test_case_has_its_name_whatever_is_named(tmp_path: Path, named: tuple[str, ...], workers: list[str]) -> None:
    """Outside of the rootdir pytest's own node ids lack what the command line names."""
    packages = tuple(f"seatrial.conformance.cases.{name}" for name in named)
    options = ("--rootdir", str(tmp_path), "-k", "test_state_of_an", "--results", "results.jsonl", *workers)
    status, output = run(tmp_path, *options, named=packages)
    assert status == 0, output
    lines = results(tmp_path / "results.jsonl")
    names = {case.id for case in collect("spec", "test_state_of_an")}
    assert len(names) > 1
    assert {line["case"] for line in lines if line["kind"] == "result"} == names
    assert {line["case"] for line in lines if line["kind"] == "start"} == names
    assert [line["topics"] for line in lines if line["kind"] == "plan"] == [{"lifecycle": len(names)}]


def test_findings_leave_evidence(tmp_path: Path) -> None:
    status, output = run(tmp_path, *CASES, "--evidence", "evidence", runtime="/bin/false")
    assert status == 1
    assert "failed" in output
    assert list((tmp_path / "evidence").glob("*/case.json"))


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_stale_expectation_is_told_at_the_end(tmp_path: Path, workers: list[str]) -> None:
    (tmp_path / "known.toml").write_text('[[expect]]\ncase = "lifecycle/test_gone.py::*"\nreason = "it was"\n')
    status, output = run(tmp_path, "-k", "test_state_of", "--expect", "known.toml", *workers)
    assert status == 2, output
    assert "known.toml:1: no case matches 'lifecycle/test_gone.py::*'" in output


def test_collecting_needs_no_airlock_and_no_runtime(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--collect-only", "-q", "-k", "test_delete_refuses", runtime="/no/such")
    assert status == 0
    assert "test_delete_refuses_a_created_container" in output
    status, output = run(tmp_path, "-k", "test_delete_refuses", runtime="/no/such")
    assert status == 4
    assert "no runtime at /no/such" in output


def test_run_without_an_airlock_says_so(tmp_path: Path) -> None:
    status, output = run(tmp_path, "-k", "test_state_of", "--no-airlock", "--results", "results.jsonl")
    assert status == 0, output
    assert "no airlock (--no-airlock): what the runtime leaves behind stays on this host" in output
    assert results(tmp_path / "results.jsonl")[0]["airlock"] is False


def test_cgroup_view_is_chosen(tmp_path: Path) -> None:
    status, output = run(tmp_path, "-k", "test_state_of", "--cgroup-view", "v2", "--results", "results.jsonl")
    if status == 4 and "no cgroup v2 view" in output:
        pytest.skip("no v2 hierarchy here")
    assert status == 0, output
    cgroup = results(tmp_path / "results.jsonl")[0]["cgroup"]
    assert isinstance(cgroup, dict)
    assert cgroup["view"] == "v2"


def test_other_runs_are_left_alone(tmp_path: Path) -> None:
    """The entry point adds no option, no marker and no hook to a run that is not about our package."""
    (tmp_path / "test_theirs.py").write_text("def test_one(): pass\n")
    for options, status, words in (
        (["--help"], 0, []),
        (["--markers"], 0, []),
        (["--runtime", "x"], 4, ["unrecognized arguments: --runtime"]),
        (["-v"], 0, ["1 passed"]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == status, output
        assert all(word in output for word in words)
        assert not [line for line in output.splitlines() if "seatrial" in line and "plugins:" not in line]
    code = "import sys, seatrial.conformance.pyargs; print([name for name in sys.modules if 'seatrial.' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['seatrial.conformance', 'seatrial.conformance.pyargs']"
