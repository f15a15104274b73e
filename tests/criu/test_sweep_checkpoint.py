"""A call of `checkpoint` that fails, by the sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("point", ["sendmsg socket:[RANDOM] #1 EPIPE", "openat state/ID/state.json #3 EMFILE"])
def test_checkpoint_says_what_it_could_not_do(criu: str, tmp_path: Path, point: str) -> None:
    """A CRIU that seems gone is not waited for: it waits for a request, and whoever is told EPIPE waits for its end.
    And a container that cannot be removed after its dump is no success: its id is not free for `restore`."""
    file = tmp_path / "results.jsonl"
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "sweep", "faults", "--op", "checkpoint"]
    argv += ["--point", point, "--cgroup-view", "v1", "--timeout", "60"]
    path = f"{os.path.dirname(criu)}:{os.environ['PATH']}"
    done = subprocess.run(
        [*argv, "--results", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["ending"] for entry in entries if "ending" in entry] == ["error exit"]
