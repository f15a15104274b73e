"""Looks into namespaces of a container from a child process of ours, which joins them."""

from __future__ import annotations

import os

from seatrial.conformance.errors import Finding
from seatrial.native import syscall

KINDS = {"ipc": 0x08000000, "net": 0x40000000, "uts": 0x04000000}  # CLONE_NEW..., namespaces(7)


def read_inside(pid: int, path: str, *kinds: str) -> str:
    """A file of our own /proc, read from these namespaces of a process: a sysctl shows the value of the reader's.
    Finding when they cannot be joined or read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for kind in kinds:
                fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                syscall.setns(fd, KINDS[kind])
            os.write(writer, syscall.read_file(path))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise Finding(f"{path} cannot be read in the {', '.join(kinds)} namespace of process {pid}")
    return data.decode("utf-8", "backslashreplace")
