"""A run that ends before its time, by whatever signal to whichever process, leaves nothing, and the next one is silent
about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from traces import children, descendants, directory, mine, until, words

from seatrial.conformance.airlock import scratch
from seatrial.conformance.driver.execute import alive

CHECK = [sys.executable, "-m", "seatrial.conformance.cli", "check"]
PYTEST = [sys.executable, "-m", "pytest", "--pyargs", "seatrial.conformance", "-p", "no:cacheprovider", "-q"]
SECONDS = 90  # for anything to end, on a machine that others use


@dataclass(slots=True)
class Busy:
    """A run whose workers have containers: its front process, the janitor, pytest, and the workers."""

    front: subprocess.Popen[str]
    janitor: int
    pytest: int
    workers: list[int]
    directory: str
    processes: list[int]

    def end(self) -> tuple[int, str]:
        """The exit status and the complaints, once the front process has ended."""
        _, complaint = self.front.communicate(timeout=SECONDS)
        return self.front.returncode, complaint

    def nothing_left(self, cgroups: bool = True) -> None:
        until(lambda: not any(alive(pid) for pid in self.processes), SECONDS)
        if cgroups:
            until(lambda: mine(self.janitor) == [], SECONDS)
        until(lambda: not os.path.exists(self.directory), SECONDS)
        mounts = Path("/proc/self/mountinfo").read_text()
        assert self.directory not in mounts


def start(tmp_path: Path, command: list[str], workers: int = 2) -> Busy:
    """Start a run and wait until a worker has a container."""
    front = subprocess.Popen(
        [*command, "-k", "test_kill or test_delete", "-n", str(workers)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: bool(children(front.pid)) or front.poll() is not None, SECONDS)
        assert front.poll() is None, front.communicate()[1]
        janitor = children(front.pid)[0]
        until(lambda: containers(janitor) or front.poll() is not None, SECONDS)
        assert front.poll() is None, front.communicate()[1]
        below = descendants(janitor)
        main = next(pid for pid in below if "pytest" in words(pid))
        return Busy(front, janitor, main, children(main), directory(janitor), [janitor, *below])
    except BaseException:
        front.kill()
        front.communicate()
        raise


def containers(janitor: int) -> bool:
    """Whether a worker has a container."""
    found = [name for place in mine(janitor) for _, names, _ in os.walk(place) for name in names]
    return any(name.startswith("st-") and "trial" not in name for name in found)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    run = start(tmp_path, CHECK)
    yield run
    run.front.kill()
    run.front.communicate()


def next_run_is_silent(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CHECK, "-k", "test_state_of", "-n", "1"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "left" not in done.stdout


@pytest.mark.parametrize(
    ("number", "status", "complaint"),
    [
        (signal.SIGINT, 130, "seatrial: interrupted\n"),
        (signal.SIGTERM, 143, "seatrial: terminated\n"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_signal_to_the_front_process(
    busy: Busy, tmp_path: Path, number: signal.Signals, status: int, complaint: str
) -> None:
    busy.front.send_signal(number)
    assert busy.end() == (status, complaint)
    if number != signal.SIGKILL:  # all is done before it goes
        assert not alive(busy.janitor)
        assert mine(busy.janitor) == []
        assert not os.path.exists(busy.directory)
    busy.nothing_left()
    next_run_is_silent(tmp_path)


def test_second_interrupt_does_not_spoil_the_first(busy: Busy) -> None:
    busy.front.send_signal(signal.SIGINT)
    while busy.front.poll() is None:  # a second one, at every moment of the way out
        time.sleep(0.01)
        busy.front.send_signal(signal.SIGINT)
    status, complaint = busy.end()
    assert status == 130
    assert complaint == "seatrial: interrupted\n"
    busy.nothing_left()


def test_killed_pytest_is_our_bug(busy: Busy, tmp_path: Path) -> None:
    os.kill(busy.pytest, signal.SIGKILL)
    status, complaint = busy.end()
    assert status == 3
    assert "bug in the harness" in complaint
    busy.nothing_left()
    next_run_is_silent(tmp_path)


def test_killed_worker_makes_no_green_run(busy: Busy, tmp_path: Path) -> None:
    os.kill(busy.workers[0], signal.SIGKILL)
    status, _ = busy.end()
    assert status == 3
    busy.nothing_left()
    next_run_is_silent(tmp_path)


def test_killed_janitor(busy: Busy, tmp_path: Path) -> None:
    os.kill(busy.janitor, signal.SIGKILL)
    status, _ = busy.end()
    assert status == 3
    busy.nothing_left()
    next_run_is_silent(tmp_path)


def test_next_run_sweeps_when_front_and_janitor_were_killed(
    busy: Busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (busy.janitor, busy.front.pid):
        os.kill(pid, signal.SIGKILL)
    busy.end()
    until(lambda: not any(alive(pid) for pid in busy.processes), SECONDS)
    assert os.path.exists(busy.directory)
    scratch.sweep()
    assert os.path.exists(busy.directory)  # too young: it might be about to be locked
    an_hour_ago = time.time() - 3600
    os.utime(os.path.join(busy.directory, scratch.LOCK), (an_hour_ago, an_hour_ago))
    next_run_is_silent(tmp_path)
    busy.nothing_left()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 2), (signal.SIGKILL, -9), (signal.SIGTERM, -15)])
def test_signal_to_a_pytest_of_the_user(tmp_path: Path, number: signal.Signals, status: int) -> None:
    run = start(tmp_path, PYTEST)
    run.front.send_signal(number)
    assert run.end()[0] == status
    run.nothing_left()
