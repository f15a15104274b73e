"""`seatrial check --mask` from one end to the other, with a runtime that breaks where pidfds are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import Run, read_file

SEATRIAL = os.path.join(os.path.dirname(sys.executable), "seatrial")
REFERENCE = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
CASE = "test_hostname_set_inside_stays_inside"
SECONDS = 400


def seatrial(directory: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SEATRIAL, *words], capture_output=True, text=True, timeout=SECONDS, cwd=directory)


def check(directory: str, *words: str) -> tuple[subprocess.CompletedProcess[str], list[Run]]:
    """`seatrial check` of that case; what it printed, and its runs."""
    file = os.path.join(directory, "results.json")
    more = ["-n", "1", "--timeout", "60", "--evidence", os.path.join(directory, "evidence"), "--report", f"json={file}"]
    done = seatrial(directory, "check", *more, *words)
    return done, read_file(file) if os.path.exists(file) else []


@pytest.fixture
def modern(tmp_path: os.PathLike[str]) -> str:
    """A runtime that cannot do without pidfd_open(2)."""
    path = os.path.join(tmp_path, "modern-runtime")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{sys.executable} -I -S -c 'import os; os.pidfd_open(1)' || exit 1\n")
        file.write(f'exec {REFERENCE} "$@"\n')
    os.chmod(path, 0o755)
    return path


def test_a_missing_fallback_is_a_finding(tmp_path: os.PathLike[str], modern: str) -> None:
    """Green without, red behind the mask; the stamp, the evidence and replay have the mask."""
    directory = str(tmp_path)
    done, (run,) = check(directory, "--runtime", modern, "-k", CASE)
    assert done.returncode == outcome.CLEAN, done.stdout + done.stderr
    assert run.stamp["masks"] == []
    os.unlink(os.path.join(directory, "results.json"))

    done, (run,) = check(directory, "--runtime", modern, "-k", CASE, "--mask", "no-statx", "--mask", "no-pidfd")
    assert done.returncode == outcome.FOUND, done.stdout + done.stderr
    assert run.stamp["masks"] == ["no-statx", "no-pidfd"]
    assert "no-statx, no-pidfd" in done.stdout
    (result,) = run.results
    assert result.outcome == outcome.FAILED
    evidence = str(result.evidence)
    with open(os.path.join(evidence, "case.json"), encoding="utf-8") as file:
        assert json.load(file)["masks"] == ["no-statx", "no-pidfd"]
    with open(os.path.join(evidence, "commands.txt"), encoding="utf-8") as file:
        assert f"$ seatrial mask no-statx no-pidfd -- {modern} " in file.read()
    replayed = seatrial(directory, "replay", evidence)
    assert replayed.returncode == outcome.FOUND, replayed.stdout + replayed.stderr
    other = seatrial(directory, "replay", evidence, "--runtime", REFERENCE)
    assert other.returncode == outcome.CLEAN, other.stdout + other.stderr


def test_what_the_mask_takes_away_is_skipped(tmp_path: os.PathLike[str]) -> None:
    """A case about what is hidden is a skip with its need; the rest runs."""
    words = ["-k", f"{CASE} or rro", "--mask", "no-mount-setattr"]
    done, (run,) = check(str(tmp_path), *words)
    assert done.returncode == outcome.CLEAN, done.stdout + done.stderr
    skipped = [result for result in run.results if result.outcome == outcome.SKIPPED]
    assert [result.case for result in run.results if result.outcome == outcome.PASSED]
    assert skipped
    assert any(result.reason.startswith("call:mount_setattr: the mask no-mount-setattr hides") for result in skipped)
