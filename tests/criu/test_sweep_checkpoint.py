"""A call of `checkpoint` that fails, by the sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_criu_that_seems_gone_is_not_waited_for(criu: str, tmp_path: Path) -> None:
    """It waits for a request, and whoever is told EPIPE waits for its end."""
    file = tmp_path / "results.jsonl"
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "sweep", "faults", "--op", "checkpoint"]
    argv += ["--point", "sendmsg socket:[RANDOM] #1 EPIPE", "--cgroup-view", "v1", "--timeout", "60"]
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
