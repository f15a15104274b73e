"""Processes by descriptor: no race with a reused pid.  pidfd_open(2) is Linux 5.3, waiting on one 5.4, getfd 5.6."""

from __future__ import annotations

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import checked, failure

P_ALL = 0
P_PID = 1
P_PIDFD = 3
WNOHANG = 1
WEXITED = 4
WNOWAIT = 0x01000000
CLD_EXITED = 1


def pidfd_open(pid: int, flags: int = 0) -> int:
    """A descriptor for a process; ProcessLookupError when there is none."""
    return checked(lib.seatrial_pidfd_open(pid, flags), "pidfd_open", f"pid {pid}")


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """Signal a process; ProcessLookupError once it has been reaped."""
    checked(lib.seatrial_pidfd_send_signal(pidfd, signal), "pidfd_send_signal", f"signal {signal}")


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate of a descriptor of another process (needs ptrace rights over it)."""
    return checked(lib.seatrial_pidfd_getfd(pidfd, fd), "pidfd_getfd", f"fd {fd}")


class Exit:
    """How a child ended: `status` is the shell's (0 to 255, 128 + signal), with its processor time and peak memory."""

    __slots__ = ("max_rss", "pid", "signal", "status", "system_us", "user_us")

    def __init__(self, pid: int, code: int, status: int, user_us: int, system_us: int, max_rss: int) -> None:
        self.pid = pid
        self.signal = 0 if code == CLD_EXITED else status
        self.status = status if code == CLD_EXITED else 128 + status
        self.user_us = user_us
        self.system_us = system_us
        self.max_rss = max_rss  # KiB


def wait(pidfd: int = -1, *, pid: int = -1, block: bool = True, reap: bool = True) -> Exit | None:
    """waitid(2) for one child, by pidfd or by pid; None when it still runs and `block` is false.

    Raises ChildProcessError when it is no child of ours, or has been reaped.
    """
    kind, number = (P_PIDFD, pidfd) if pidfd >= 0 else (P_PID, pid)
    result = ffi.new("long[6]")
    options = WEXITED | (0 if block else WNOHANG) | (0 if reap else WNOWAIT)
    while True:
        error = -lib.seatrial_waitid(kind, number, options, result)
        if error == 0:
            break
        if error != 4:  # EINTR: Python's handlers have run
            raise failure(error, "waitid", f"pidfd {pidfd}" if pidfd >= 0 else f"pid {pid}")
    return Exit(*result) if result[0] else None
