"""Where a process is in the hierarchies of the view."""

from __future__ import annotations

import os
import subprocess

import pytest

from seatrial.conformance.airlock import subtree
from seatrial.conformance.airlock.subtree import hierarchies


def test_process_is_found_by_its_pid() -> None:
    assert hierarchies(os.getpid()) == hierarchies()
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match=f"/proc/{process.pid}/cgroup"):
        hierarchies(process.pid)


def test_a_zombie_has_ended() -> None:
    """Its subtree is stale, though its pid is taken until somebody reaps it."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert subtree._ended(str(ended.pid))
        assert not subtree._ended(str(os.getpid()))
    finally:
        ended.wait()
    assert subtree._ended(str(ended.pid))
