"""A runtime that does nothing at all turns `seatrial check` red, and one that is not there is no verdict."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seatrial.conformance.engine.collect import collect
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import Run, read_file

SECONDS = 240  # far more than it takes: a suite that hangs on such a runtime is a failure, too


def check(directory: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`seatrial check` with these words, its evidence in the directory."""
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "check", *words]
    argv += ["--evidence", os.path.join(directory, "evidence")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=directory)


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true"])
def test_a_program_that_is_no_runtime_fails(tmp_path_factory: pytest.TempPathFactory, program: str) -> None:
    """Exit status 1, and of the whole suite not one case has passed."""
    directory = str(tmp_path_factory.mktemp("red"))
    file = os.path.join(directory, "results.json")
    result = check(directory, "--runtime", program, "-n", "2", "--report", f"json={file}")
    assert result.returncode == outcome.FOUND, result.stdout[-2000:] + result.stderr
    (run,) = read_file(file)
    assert run.exit_status() == result.returncode
    assert run.stamp["runtime"]["path"] == program
    assert sorted(entry.case for entry in run.results) == sorted(case.id for case in collect("spec"))
    passed = [entry.case for entry in run.results if entry.outcome == outcome.PASSED]
    assert passed == []
    assert {entry.outcome for entry in run.results} == {outcome.FAILED, outcome.SKIPPED}
    assert verified(run) == []


def verified(run: Run) -> list[str]:
    """The requirements that a run calls verified."""
    return [name for name, verdict in run.verdicts().items() if verdict == outcome.VERIFIED]


@pytest.mark.parametrize("kind", ["missing", "not executable"])
def test_a_runtime_that_cannot_be_run_is_no_verdict(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    """Exit status 2, no results."""
    directory = str(tmp_path_factory.mktemp("absent"))
    program, file = os.path.join(directory, "runtime"), os.path.join(directory, "results.json")
    if kind != "missing":
        with open(program, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\n")
    result = check(directory, "--runtime", program, "--report", f"json={file}")
    assert result.returncode == outcome.ENVIRONMENT, result.stdout + result.stderr
    assert program in result.stderr
    assert not os.path.exists(file)


def test_a_selection_that_passes_is_green(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The counterpart: the same command with the reference runtime exits 0, so that red means something."""
    directory = str(tmp_path_factory.mktemp("green"))
    file = os.path.join(directory, "results.json")
    result = check(directory, "-k", "test_hostname or test_umask", "-n", "1", "--report", f"json={file}")
    assert result.returncode == outcome.CLEAN, result.stdout[-2000:] + result.stderr
    (run,) = read_file(file)
    assert run.exit_status() == outcome.CLEAN
    assert {entry.outcome for entry in run.results} == {outcome.PASSED}
