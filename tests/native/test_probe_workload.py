"""The probe's workloads: every kind says the same each time it is asked, also under the sanitizers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import Any

import pytest
from probe_run import PROBE

from seatrial.native import programs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")

KINDS = (
    "loopback memory changing-memory threads processes stopped-process denied-call attributes pipes epoll eventfd "
    "inotify unix-sockets tcp-listener tcp udp files unlinked-files file-locks interval-timers posix-timers timerfd "
    "signals shared-memory system-v terminal-pair speaker"
).split()
SECONDS = 60.0


@pytest.fixture(params=["shipped", "sanitized"])
def probe(request: pytest.FixtureRequest) -> str:
    if request.param == "shipped":
        return programs.path("probe")
    built: str = request.getfixturevalue("sanitized_probe")
    return built


class Workload:
    """A process with kinds of state, in namespaces of its own with a /tmp of its own."""

    def __init__(self, probe: str, *words: str) -> None:
        steps = ["syscall setsid", "mount tmpfs /tmp tmpfs", "mkdir /tmp/answers", "mount tmpfs /dev/shm tmpfs"]
        chain = [*" -- ".join(steps).split(), "--", "workload", "/tmp/answers", *words]
        command = ["unshare", "-mpniu", "--propagation", "private", "--fork", "--mount-proc", probe, *chain]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.answers = 0
        self.pid = 0

    def _inside(self) -> int:
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return int(file.read() or 0)

    def answer(self) -> list[dict[str, Any]]:
        """The lines of the next answer."""
        self.answers += 1
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[0]
            self.pid = self.pid or self._inside()
            path = f"/proc/{self.pid}/root/tmp/answers/{self.answers}"
            if self.pid and os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    return [json.loads(line) for line in file]
            time.sleep(0.01)
        raise AssertionError(f"no answer within {SECONDS:g} s")

    def ask(self) -> list[dict[str, Any]]:
        os.kill(self.pid, signal.SIGUSR1)
        return self.answer()

    def end(self) -> tuple[int, str]:
        """Its status after SIGTERM, and what it has said."""
        os.kill(self.pid, signal.SIGTERM)
        output, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output


def test_every_kind_says_the_same_each_time(probe: str) -> None:
    workload = Workload(probe, "--streams", *KINDS)
    try:
        report, *first = workload.answer()
        assert report["schema"] == "seatrial.probe/1"
        assert [line["args"] for line in first] == [[kind] for kind in KINDS]
        assert [line for line in first if not line["ok"]] == []
        for _ in range(3):
            again = workload.ask()[1:]
            assert again == first
        status, output = workload.end()
    finally:
        workload.process.kill()
        workload.process.wait()
    assert status == 0
    assert "Sanitizer" not in output, output
    assert "runtime error" not in output, output
    assert output.count("spoken") == 4


def test_changing_memory_is_in_small_pages() -> None:
    """Of a huge page one write makes all dirty, and a chain of dumps would bring it whole each time."""
    workload = Workload(PROBE, "changing-memory")
    try:
        workload.answer()
        with open(f"/proc/{workload.pid}/status", encoding="ascii") as file:
            assert "THP_enabled:\t0\n" in file.readlines()
        with open(f"/proc/{workload.pid}/smaps_rollup", encoding="ascii") as file:
            assert re.search(r"^AnonHugePages: +0 kB$", file.read(), re.MULTILINE)
        workload.end()
    finally:
        workload.process.kill()
        workload.process.wait()


def test_kind_that_cannot_be_set_up_has_its_errno(probe: str) -> None:
    workload = Workload(probe, "terminal", "denied-call")
    try:
        _, terminal, call = workload.answer()
        assert (terminal["ok"], terminal["errno"]) == (False, "ENOTTY")
        assert call["ok"]
        workload.end()
    finally:
        workload.process.kill()
        workload.process.wait()


def test_unknown_kind_is_refused() -> None:
    done = subprocess.run([PROBE, "workload", "/tmp", "nothing"], capture_output=True, text=True)
    assert done.returncode == 64
    assert "workload DIRECTORY" in json.loads(done.stdout)["error"]
