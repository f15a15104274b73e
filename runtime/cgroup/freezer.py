"""Stopping and resuming the processes of a cgroup.

v1  freezer-subsystem.rst: a write asks for a state, freezer.state tells which one there is: THAWED, FREEZING (asked
    for, not everybody has stopped yet; each read looks again) or FROZEN.  freezer.self_freezing tells apart a cgroup
    that was frozen itself from one below a frozen one.
v2  cgroup-v2.rst, Linux 5.2: cgroup.freeze asks, "frozen" in cgroup.events answers.

A freeze that does not come to its end, for whatever reason, leaves the cgroup thawed.
"""

from __future__ import annotations

import errno
import os
import time

from seatrial.runtime.cgroup.files import ABSENT, children, read, read_or, write
from seatrial.runtime.errors import SyscallError

SECONDS = 10.0  # what a process in an uninterruptible sleep is given
_HINT = "a process of it is in an uninterruptible sleep"


def freeze_v1(directory: str, seconds: float = SECONDS) -> None:
    """Return when every process in a v1 freezer cgroup and below has stopped.

    Raises SyscallError: ETIMEDOUT after `seconds`, ENOENT when the cgroup is gone.
    """
    deadline = time.monotonic() + seconds
    attempt = 0
    try:
        while True:
            attempt += 1
            if attempt % 50 == 0:
                # Who waits in vfork() for a child that froze before its execve cannot stop: let them go on a moment.
                write(directory, "freezer.state", "THAWED")
                time.sleep(0.01)
            write(directory, "freezer.state", "FROZEN")
            if attempt % 25 == 0:
                time.sleep(0.00001)  # two runtimes in step would undo each other's work for ever
            # THAWED: somebody else thawed it between the two; ask again.
            if read(directory, "freezer.state") == "FROZEN":
                return
            if time.monotonic() >= deadline:
                raise SyscallError("freeze", directory, errno.ETIMEDOUT, _HINT)
            time.sleep(0.0002 if attempt < 20 else 0.002)
    except BaseException:
        thaw_v1(directory)
        raise


def thaw_v1(directory: str) -> None:
    """Let the processes run again; a cgroup that is gone is fine."""
    _write_if_there(directory, "freezer.state", "THAWED")


def thaw_tree_v1(directory: str) -> None:
    """Thaw a v1 cgroup and every one below it that was frozen itself, as a container with its own view may have done.

    A process that is frozen anywhere on the way up receives no signal, not even SIGKILL.
    """
    thaw_v1(directory)
    for child in children(directory):
        thaw_tree_v1(child)


def freeze_v2(directory: str, seconds: float = SECONDS) -> None:
    """Return when every process in a v2 cgroup and below has stopped.

    Raises SyscallError: ETIMEDOUT after `seconds`, ENOENT when the cgroup is gone or the kernel is older than 5.2.
    """
    deadline = time.monotonic() + seconds
    delay = 0.0002
    try:
        write(directory, "cgroup.freeze", 1)
        while "frozen 1" not in read(directory, "cgroup.events").splitlines():
            if time.monotonic() >= deadline:
                raise SyscallError("freeze", directory, errno.ETIMEDOUT, _HINT)
            if read(directory, "cgroup.freeze") == "0":  # somebody else thawed it
                write(directory, "cgroup.freeze", 1)
            time.sleep(delay)
            delay = min(delay * 2, 0.01)
    except BaseException:
        thaw_v2(directory)
        raise


def thaw_v2(directory: str) -> None:
    """Let the processes run again; a cgroup that is gone, or a kernel without a freezer, is fine."""
    _write_if_there(directory, "cgroup.freeze", "0")


def above_is_frozen(directory: str) -> bool:
    """Whether a cgroup above this one keeps its processes from running: thawing this one alone changes nothing."""
    if os.path.exists(f"{directory}/freezer.parent_freezing"):
        return read_or(directory, "freezer.parent_freezing", "0") == "1"
    level = os.path.dirname(directory)
    while os.path.exists(f"{level}/cgroup.freeze"):
        if read_or(level, "cgroup.freeze", "0") == "1":
            return True
        level = os.path.dirname(level)
    return False


def _write_if_there(directory: str, name: str, value: str) -> None:
    try:
        write(directory, name, value)
    except SyscallError as error:
        if error.errno not in ABSENT:
            raise
