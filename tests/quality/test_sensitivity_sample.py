"""`seatrial sensitivity` for real, on a handful of mutants and cases: survey, campaign, figures, resumption."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from seatrial.conformance.verdict import outcome

SECONDS = 300  # far more than it takes
CASES = "test_descriptors and (test_hostname or test_name_of_a_joined_uts_namespace)"
MUTANTS = {
    "plan/init/hostname/dropped": "killed",
    "plan/init/hostname.name/longer": "killed",
    "status/run/success/1": "killed",
    "step/cli.run:main/skipped": "killed",
    # The process ends right after it, and the kernel closes what is open.
    "step/launch:Launch.close/skipped": "survives",
    # These cases do not look at capabilities: others do.
    "plan/init/capset/dropped": "survives",
}


def sensitivity(directory: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`seatrial sensitivity` in a directory."""
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "sensitivity", "--directory", "campaign", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=directory)


def test_a_small_campaign(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = str(tmp_path_factory.mktemp("sensitivity"))
    keyword = " or ".join(f"({' and '.join(_words(name))})" for name in MUTANTS)
    listed = sensitivity(directory, "--cases", CASES, "-k", keyword, "--list")
    assert listed.returncode == outcome.CLEAN, listed.stderr
    assert sorted(line.partition("  ")[0] for line in listed.stdout.splitlines() if "/" in line) == sorted(MUTANTS)

    again = sensitivity(directory, "--cases", CASES)
    assert again.returncode == outcome.ENVIRONMENT
    assert "--resume" in again.stderr

    done = sensitivity(
        directory,
        "--cases",
        CASES,
        "-k",
        keyword,
        "--resume",
        "-n",
        "2",
        "--timeout",
        "30",
        "--figures",
        "figures.json",
    )
    assert done.returncode == outcome.FOUND, done.stdout + done.stderr  # 4 of 6 are fewer than 95 %
    with open(os.path.join(directory, "figures.json"), encoding="utf-8") as file:
        found = json.load(file)
    assert (found["mutants"], found["killed"]) == (6, 4), done.stdout
    assert found["survivors"] == sorted(name for name, end in MUTANTS.items() if end == "survives")

    resumed = sensitivity(directory, "--cases", CASES, "-k", keyword, "--resume", "--fail-under", "60")
    assert resumed.returncode == outcome.CLEAN, resumed.stdout + resumed.stderr
    assert "killed by" not in resumed.stdout  # every verdict was there already

    words = ("--redundant", "--fail-under", "60", "--figures", "figures.json")
    asked = sensitivity(directory, "--cases", CASES, "-k", keyword, "--resume", *words)
    assert asked.returncode == outcome.CLEAN, asked.stdout + asked.stderr
    with open(os.path.join(directory, "figures.json"), encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    assert cases["mutants_with_two_killers"] + cases["mutants_with_one_killer"] == 4
    assert set(cases["needed"]) & set(cases["redundant"]) == set()
    assert cases["needed"] + cases["redundant"]


def _words(name: str) -> list[str]:
    """The parts of a mutant's name that a -k expression can carry."""
    return [word for part in name.split("/") for word in part.split()]
