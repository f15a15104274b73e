"""`seatrial check` by forks of a warm process: airlock, pytest and verdicts are those of a new interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from zygote_client import ask, serving

pytestmark = pytest.mark.root
CASES = "test_no_new_privileges or test_hostname"


def words(runtime: str, results: Path, evidence: Path) -> list[str]:
    return [
        "check", "--runtime", runtime, "-k", CASES, "-n", "1", "--timeout", "120", "--report", f"json={results}",
        "--evidence", str(evidence),
    ]  # fmt: skip


def outcomes(results: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return {line["case"]: line["outcome"] for line in lines if line["kind"] == "result"}


@pytest.mark.parametrize("runtime", ["seatrial-runtime", "false"])
def test_verdicts_are_the_same(runtime: str, tmp_path: Path) -> None:
    path = "/bin/false" if runtime == "false" else os.path.join(os.path.dirname(sys.executable), runtime)
    cold = subprocess.run(
        [sys.executable, "-m", "seatrial.conformance.cli", *words(path, tmp_path / "cold", tmp_path / "e1")],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    socket = str(tmp_path / "warm" / "seatrial")
    with serving(socket):
        answer, out, err = ask(
            socket, ["seatrial", *words(path, tmp_path / "warm.json", tmp_path / "e2")], str(tmp_path)
        )
    assert "pid" in answer
    assert outcomes(tmp_path / "warm.json") == outcomes(tmp_path / "cold"), (out, err)
    assert outcomes(tmp_path / "cold")
    assert (set(outcomes(tmp_path / "cold").values()) == {"passed"}) == (cold.returncode == 0)
