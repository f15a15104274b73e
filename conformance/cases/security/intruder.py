"""What a process of a container could learn of another one: proc(5) asks for the rights of ptrace(2)."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable

from seatrial.native import syscall

CAPSET, CAPABILITY_VERSION_3 = 126, 0x20080522  # x86-64; capset(2)


def status_of(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def become(status: dict[str, str]) -> None:
    """Take the capabilities of a process; uid and gid have to be ours already."""
    import ctypes

    header = bytearray(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    sets = [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh")]
    low, high = ([value >> shift & 0xFFFFFFFF for value in sets] for shift in (0, 32))
    data = bytearray(struct.pack("6I", *low, *high))
    first, second = (ctypes.addressof(ctypes.c_char.from_buffer(part)) for part in (header, data))
    syscall.syscall(CAPSET, first, second)


def intruder(pid: int) -> dict[str, str]:
    """The errno's name, "" for success, of three looks at a process by one that has the same ids and capabilities:
    /proc/PID/exe, /proc/PID/fd and /proc/PID/mem."""
    status = status_of(pid)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(status)
            os.write(writer, json.dumps(looks(pid)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    found: dict[str, str] = json.loads(data)
    return found


def looks(pid: int) -> dict[str, str]:
    """What intruder() returns, for the calling process."""
    return {
        "exe": attempt(lambda: os.readlink(f"/proc/{pid}/exe")),
        "fd": attempt(lambda: [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]),
        "mem": attempt(lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC))),
    }


def attempt(action: Callable[[], object]) -> str:
    """ "" or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return ""
