"""Runs pytest with the plugin, in a process of its own, over cases that a test wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAD = """
import pytest
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.errors import EnvironmentProblem, Finding, HarnessBug
"""


def run_cases(
    directory: Path, text: str, *options: str, runtime: str = "/bin/true"
) -> tuple[int, list[dict[str, Any]], str]:
    """pytest's exit status, the entries of the results file, and what pytest printed."""
    (directory / "test_cases.py").write_text(HEAD + text)
    path = directory / "results.jsonl"
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(directory), "-p", "no:cacheprovider"]
    command += ["-p", "seatrial.conformance.plugin", "--strict-markers", "--runtime", runtime, "--results", str(path)]
    command += ["--workdir", str(directory)]  # a worker that dies leaves its directory
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, *options, str(directory)], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    lines = path.read_text().splitlines() if path.exists() else []
    return done.returncode, [json.loads(line) for line in lines], done.stdout + done.stderr


def by_case(entries: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {
        entry["case"].rpartition("::")[2]: (entry["outcome"], entry["reason"])
        for entry in entries
        if entry["kind"] == "result"
    }
