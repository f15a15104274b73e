"""Waiting for a child with a time limit, without threads, signal handlers or reaping anybody else's children."""

from __future__ import annotations

import errno
import os
import time

from seatrial.native.syscall import POLLIN, poll


def open_pidfd(pid: int) -> int:
    """A pidfd of a process, or -1 where the kernel has none (before 5.3) or a filter hides it."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return -1
        raise


def wait_child(pid: int, pidfd: int, seconds: float | None, abort: int = -1) -> int | None:
    """Wait for a child to end, and reap it.

    Returns its wait status (waitpid(2)), or None when `seconds` went by or the descriptor `abort` became readable
    first.  `pidfd` may be -1: then the child is polled.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    if pidfd < 0 and deadline is None and abort < 0:
        return os.waitpid(pid, 0)[1]
    fds = [fd for fd in (pidfd, abort) if fd >= 0]
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if pidfd < 0:
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                return status
            ready = wait_readable(fds, 0.005 if left is None else min(0.005, left))
        else:
            ready = wait_readable(fds, left)
            if pidfd in ready:
                return os.waitpid(pid, 0)[1]
        if abort in ready or (left is not None and left <= 0):
            return None


def wait_readable(fds: list[int], seconds: float | None) -> list[int]:
    """Those of `fds` that are readable or hung up; empty after `seconds`, or when a signal handler has run."""
    try:
        return [fd for fd, _events in poll(fds, -1 if seconds is None else int(seconds * 1000 + 0.999), POLLIN)]
    except InterruptedError:
        return []


def exit_code(status: int) -> int:
    """A wait status as a shell gives it: the exit code, or 128 plus the signal's number."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def describe_exit(status: int) -> str:
    """A wait status in words: ``exit status 3`` or ``killed by signal 9``."""
    if os.WIFEXITED(status):
        return f"exit status {os.WEXITSTATUS(status)}"
    return f"killed by signal {os.WTERMSIG(status)}"
