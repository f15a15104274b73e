"""Orphans that became our children, while we wait for a child of our own."""

from __future__ import annotations

import subprocess
import sys

WAITING = """
import os, subprocess
from seatrial.conformance.airlock import orphans
from seatrial.native import syscall
syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 1)
process = subprocess.Popen(["/bin/sh", "-c", "(sleep 0.1 & sleep 300 &) ; exec sleep 1"])
pidfd = os.pidfd_open(process.pid)
if {slow}:
    assert not orphans.wait_and_reap(pidfd, 0.01)
    process.kill()
assert orphans.wait_and_reap(pidfd, 60)
left = orphans.children()
assert process.pid in left, "its status is for who started it"
assert process.wait() == {status}
others = left - {{process.pid}}
assert len(others) {others}, [orphans.describe(pid) for pid in others]
for pid in others:
    orphans.kill(pid)
assert orphans.children() == set()
print("well")
"""


def waiting(**values: object) -> None:
    script = WAITING.format(**values)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "well\n", done.stderr


def test_zombies_are_collected_and_nobody_else() -> None:
    """One orphan ends meanwhile, one lives on; the child's own status is kept."""
    waiting(slow=False, status=0, others="== 1")


def test_time_is_up() -> None:
    waiting(slow=True, status=-9, others="<= 2")
