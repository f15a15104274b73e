"""The Unix stream sockets whose paths a caller gives us: console, seccomp listener, pidfd."""

from __future__ import annotations

import errno
import os

from seatrial.native import channel
from seatrial.runtime.errors import SyscallError


def connect(what: str, path: str) -> int:
    """Connect to the stream socket at `path`, or with the abstract name after ``@``.  Raises SyscallError.

    A long path goes through a descriptor of its directory, because sun_path holds 108 bytes only (unix(7)).
    """
    try:
        if path.startswith("@") or len(os.fsencode(path)) < 100:
            return channel.connect(path, channel.SOCK_STREAM)
        directory, name = os.path.split(os.path.abspath(path))
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return channel.connect(f"/proc/self/fd/{fd}/{name}", channel.SOCK_STREAM)
        finally:
            os.close(fd)
    except OSError as error:
        raise SyscallError.of(f"connect to the {what}", path, error) from None


def send_pidfd(connection: int, payload: bytes, pidfd: int) -> None:
    """Send a pidfd as runc does: one message, "standard" for init or "setns" for exec.  Raises SyscallError."""
    if pidfd < 0:
        raise SyscallError("pidfd_open", "for the pidfd socket", errno.ENOSYS, "pidfds need Linux 5.3")
    try:
        channel.send(connection, payload, [pidfd])
    except OSError as error:
        raise SyscallError.of("sendmsg to the pidfd socket", "", error) from None
