"""Two workers, one Redis server: what the one has found is where the other begins."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twins import RUNTIME, twin

from seatrial.fuzz.database import open_database
from seatrial.fuzz.diff.corpus import Corpus

pytestmark = [pytest.mark.root, pytest.mark.slow]
SECONDS = 900


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis server of the test's own."""
    program = shutil.which("redis-server") or pytest.skip("needs redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def begin(directory: Path, *words: str) -> subprocess.Popen[str]:
    directory.mkdir()
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "fuzz", *words]
    return subprocess.Popen(argv, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def entries(server: str) -> list[dict[str, object]]:
    database = open_database(server)
    assert database is not None
    return Corpus(database).entries()


def test_campaigns_share_a_corpus(server: str, tmp_path: Path) -> None:
    """Two side by side fill it; a third, which has time for little else, begins with what they kept."""
    other = twin(tmp_path, "other-oom-score")
    words = ("diff", "--runtime", other, "--runtime", RUNTIME, "-n", "1", "--database", server, "--directory", "found")
    workers = [
        begin(tmp_path / name, *words, "--seed", seed, "--budget", "20s") for name, seed in (("a", "1"), ("b", "2"))
    ]
    for worker in workers:
        said, _ = worker.communicate(timeout=SECONDS)
        assert worker.returncode in (0, 1), said
        assert int(re.findall(r"(\d+) comparisons", said)[-1]) > 0
        assert not list(tmp_path.glob("*/found/corpus/*")), "the corpus is the server's alone"
    kept = entries(server)
    assert kept
    third = begin(tmp_path / "c", *words, "--seed", "3", "--budget", "10s")
    said, _ = third.communicate(timeout=SECONDS)
    assert third.returncode in (0, 1), said
    assert f"corpus {len(entries(server))} " in said
    database = open_database(server)
    assert database is not None
    assert Corpus(database).minimise() == 0, "each campaign leaves a minimal corpus"


def test_a_lifecycle_is_found_again_at_once(server: str, tmp_path: Path) -> None:
    """The first worker shrinks a finding, the second one's first example is that."""
    other = twin(tmp_path, "hides-pauses")  # no race, so that it is there again whenever it is replayed
    words = ("lifecycle", "--runtime", other, "-n", "1", "-x", "--database", server)
    for name, seed, budget in (("a", "1", "120s"), ("b", "77", "60s")):
        worker = begin(tmp_path / name, *words, "--seed", seed, "--budget", budget)
        said, _ = worker.communicate(timeout=SECONDS)
        assert worker.returncode == 1, said
    examples = int(re.findall(r"(\d+) examples", said)[-1])
    assert examples <= 40, said


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    worker = begin(tmp_path / "a", "lifecycle", "--runtime", RUNTIME, "--database", "redis://127.0.0.1:1")
    said, _ = worker.communicate(timeout=SECONDS)
    assert worker.returncode == 2
    assert "redis://127.0.0.1:1" in said
    assert "Traceback" not in said
