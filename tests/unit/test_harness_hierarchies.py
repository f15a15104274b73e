"""Where a process is in the hierarchies of the view."""

from __future__ import annotations

import os
import subprocess

import pytest

from seatrial.conformance.airlock.subtree import hierarchies


def test_process_is_found_by_its_pid() -> None:
    assert hierarchies(os.getpid()) == hierarchies()
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match=f"/proc/{process.pid}/cgroup"):
        hierarchies(process.pid)
