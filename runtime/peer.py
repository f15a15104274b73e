"""The Unix stream sockets whose paths a caller gives us: console, seccomp listener, pidfd."""

from __future__ import annotations

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


def absolute(path: str) -> str:
    """The path from the root; an abstract name is left as it is."""
    return path if path.startswith("@") else os.path.abspath(path)
