"""`seatrial fuzz diff` with real runtimes: a twin with a bug is told apart, judged, saved, replayed and known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from twins import RUNTIME, twin

pytestmark = [pytest.mark.root, pytest.mark.slow]


def seatrial(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "seatrial.conformance.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, timeout=900, check=False)


def test_a_twin_is_told_apart(tmp_path: Path) -> None:
    """The hostname differs without any feature: found at once; judged, saved, replayed, and no news the next time."""
    other = twin(tmp_path, "no-hostname")
    words = ("fuzz", "diff", "--runtime", other, "--runtime", RUNTIME, "--seed", "3", "-n", "1", "--directory", "found")
    done = seatrial(*words, "--budget", "20s", "--write-baseline", "known.toml", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{other} breaks config/hostname/1" in done.stdout
    assert json.loads((tmp_path / "found" / "campaign.json").read_text())["comparisons"] > 10
    assert any(path.is_file() for path in (tmp_path / "found" / "corpus").rglob("*"))
    saved = [path.parent for path in (tmp_path / "found").glob("divergences/report-uts*/divergence.json")]
    assert saved
    again = seatrial("replay", str(saved[0]), cwd=tmp_path)
    assert again.returncode == 1, again.stdout + again.stderr
    assert "reproduced in 3 of 3" in again.stdout
    right = seatrial("replay", str(saved[0]), "--runtime", "/usr/bin/env", cwd=tmp_path)
    assert right.returncode == 2, "what is no runtime is refused"
    assert seatrial(*words, "--budget", "5s", cwd=tmp_path).returncode == 2, "a campaign is not overwritten"
    more = seatrial(*words, "--resume", "--budget", "5s", "--baseline", "known.toml", cwd=tmp_path)
    assert more.returncode == 0, more.stdout + more.stderr


def test_a_feature_is_found(tmp_path: Path) -> None:
    """The OOM score differs only where a config has one: the draw is made small until that alone is left."""
    other = twin(tmp_path, "other-oom-score")
    words = ("--runtime", other, "--runtime", RUNTIME, "--seed", "1", "-n", "2", "--directory", str(tmp_path / "found"))
    done = seatrial("fuzz", "diff", *words, "--budget", "45s", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "report oom_score_adj with process.oomScoreAdj" in done.stdout
    assert f"{other} breaks config/linux-process/13" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--runtime"),
        (("--runtime", RUNTIME), "twice"),
        (("--runtime", "/nowhere/runtime"), "/nowhere"),
        (("--runtime", "/bin/true", "--budget", "5s"), "default bundle"),
        (("--runtime", "/bin/false", "--budget", "5s"), "default bundle"),
        (("--runtime", "/bin/false", "--baseline", "/nowhere/known.toml"), "/nowhere/known.toml"),
        (("--runtime", "/bin/false", "--resume"), "no campaign"),
    ],
)
def test_mistakes_are_told(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = seatrial("fuzz", "diff", *words, "--directory", str(tmp_path / "found"), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
