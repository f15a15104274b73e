"""Where a process is in the hierarchies of the view."""

from __future__ import annotations

import os
import subprocess

import pytest

from seatrial.conformance.airlock.subtree import hierarchies
from seatrial.conformance.driver.execute import alive


def test_process_is_found_by_its_pid() -> None:
    assert hierarchies(os.getpid()) == hierarchies()
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match=f"/proc/{process.pid}/cgroup"):
        hierarchies(process.pid)


def test_a_zombie_is_not_alive() -> None:
    """Its subtree is stale, though its pid is taken until somebody reaps it."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not alive(ended.pid)
        assert alive(os.getpid())
    finally:
        ended.wait()
    assert not alive(ended.pid)
