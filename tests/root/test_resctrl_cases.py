"""The conformance cases for Intel RDT, on a stage (resctrl_stage.py): the runtime passes them, and each bug is seen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import resctrl_stage

from seatrial.conformance.plugin import CASES

pytestmark = pytest.mark.root
FILE = os.path.join(CASES, "linux", "test_resource_groups.py")
STAGE = os.path.abspath(resctrl_stage.__file__)


def counts(tmp_path: Path, bug: str) -> tuple[dict[str, int], str]:
    """How many cases passed, failed or were skipped, and pytest's output."""
    root = tmp_path / "resctrl"
    runtime = tmp_path / "runtime"
    resctrl_stage.set_up(str(root))
    runtime.write_text(f'#!/bin/sh\n{resctrl_stage.PLACE}={root} exec {sys.executable} {STAGE} {bug} "$@"\n')
    runtime.chmod(0o755)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "seatrial.conformance.plugin", "-p", "resctrl_stage"]
    argv += [
        "-p",
        "no:cacheprovider",
        FILE,
        "--runtime",
        str(runtime),
        "--runtime-timeout",
        "60",
        "-k",
        "not malformed",
    ]
    path = os.pathsep.join([os.path.dirname(STAGE), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, resctrl_stage.PLACE: str(root)}
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
    return found, done.stdout + done.stderr


def test_the_runtime_passes_every_case(tmp_path: Path) -> None:
    found, output = counts(tmp_path, "none")
    assert set(found) == {"passed"}, output
    assert found["passed"] == 17, output


@pytest.mark.parametrize("bug", resctrl_stage.BUGS)
def test_bug_is_noticed(tmp_path: Path, bug: str) -> None:
    found, output = counts(tmp_path, bug)
    assert found.get("failed", 0) >= 1, output
    assert found.get("passed", 0) >= 1, output
