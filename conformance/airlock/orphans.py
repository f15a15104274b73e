"""Processes that became our children when their parents ended: with PR_SET_CHILD_SUBREAPER (prctl(2)) those that a
runtime leaves, its containers' among them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time

from seatrial.conformance.driver.execute import wait_pidfd

REAPING = 0.02  # seconds between two looks


def children() -> set[int]:
    """Our children: with PR_SET_CHILD_SUBREAPER, also the orphans of the runtimes that we started.  (Needs
    CONFIG_PROC_CHILDREN, as CRIU does; without it nothing is seen.)"""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                found.update(int(word) for word in file.read().split())
        except OSError:
            continue
    return found


def reap(but: int | None = None) -> None:
    """Collect the zombies among the orphans that became our children (and our own, `but` for one)."""
    for pid in children() - {but}:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def wait_and_reap(pidfd: int, seconds: float) -> bool:
    """wait_pidfd() for a child, collecting other zombies meanwhile.  (A container's init dies only when all of its pid
    namespace are reaped, pid_namespaces(7); of an orphan we are the one who can.)  No other thread may have children.
    """
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        ours = next((int(line.split()[1]) for line in file if line.startswith("Pid:")), -1)
    deadline = time.monotonic() + seconds
    while not wait_pidfd(pidfd, min(REAPING, deadline - time.monotonic())):
        if time.monotonic() >= deadline:
            return False
        reap(but=ours)
    return True


def of_container(name: str) -> set[int]:
    """Those of our children that are in a cgroup which bears a container's name (/proc/PID/cgroup, cgroups(7))."""
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    found: set[int] = set()
    for pid in children():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            if pattern.search(file.read()):
                found.add(pid)
    return found


def kill(pid: int, seconds: float = 1.0) -> None:
    """Kill a process and wait, at most so many seconds, until it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        os.kill(pid, signal.SIGKILL)
        wait_pidfd(pidfd, seconds)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    finally:
        os.close(pidfd)


def describe(pid: int) -> str:
    """The command line of a process, shortened."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(120).replace(b"\0", b" ").decode("utf-8", "replace").strip() or "no command line"
    except OSError:
        return "gone"
