"""Seccomp profiles for cases, and the filters of a process as the kernel has them (ptrace(2), seccomp(2))."""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seatrial.conformance.cases.linux.system_calls import all_but
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import EnvironmentProblem, Finding

# What the filters of the cases are about: it is in every architecture's table, needs no privilege, has six arguments,
# and fails with EBADF (the descriptor is looked at first), so a case can tell whether the kernel executed it.  No
# runtime and no C library calls it on the way to the program.
CALL = "copy_file_range"
EXECUTED = "EBADF"
ARGUMENTS = "-1 0 -1 0 0 0"

PTRACE_INTERRUPT, PTRACE_SEIZE, PTRACE_DETACH = 0x4207, 0x4206, 17
PTRACE_SECCOMP_GET_FILTER, PTRACE_SECCOMP_GET_METADATA = 0x420C, 0x420D
FLAG_LOG = 2  # SECCOMP_FILTER_FLAG_LOG
WALL = 0x40000000  # __WALL
BPF_RET_K = 0x06


def rule(action: str, *names: str, **members: Any) -> dict[str, Any]:
    """An entry of `syscalls`, about CALL where no name is given."""
    return {"names": list(names) or [CALL], "action": action, **members}


def condition(index: int, op: str, value: int, value_two: int | None = None) -> dict[str, Any]:
    """An entry of `args`."""
    entry: dict[str, Any] = {"index": index, "value": value, "op": op}
    return entry if value_two is None else {**entry, "valueTwo": value_two}


def allow_all(bundle: Bundle, *rules: dict[str, Any], **members: Any) -> Bundle:
    """A filter that allows what no rule is about."""
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **members}
    return bundle


def allow_the_rest(bundle: Bundle, action: str, *rules: dict[str, Any], **members: Any) -> Bundle:
    """A filter whose default action concerns CALL alone: every other call is on its list."""
    rest = {"names": all_but(CALL), "action": "SCMP_ACT_ALLOW"}
    bundle.linux["seccomp"] = {"defaultAction": action, "syscalls": [*rules, rest], **members}
    return bundle


def _ptrace(request: int, pid: int, address: int, data: Any) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.restype = ctypes.c_long
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    result: int = library.ptrace(request, pid, address, data)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Holds a process in a ptrace stop; it goes on afterwards."""
    try:
        _ptrace(PTRACE_SEIZE, pid, 0, None)
        _ptrace(PTRACE_INTERRUPT, pid, 0, None)
    except OSError as error:
        raise EnvironmentProblem(f"cannot trace process {pid}: {error.strerror}") from error
    deadline = time.monotonic() + patience(2)
    while os.waitpid(pid, WALL | os.WNOHANG)[0] != pid:
        if time.monotonic() > deadline:
            raise Finding(f"process {pid} does not stop")
        time.sleep(0.001)
    try:
        yield
    finally:
        _ptrace(PTRACE_DETACH, pid, 0, None)


def attached(pid: int) -> list[tuple[int, set[int]]]:
    """(flags, values returned) of each filter of a process, in the order in which they were installed.

    Flags that the kernel shows: SECCOMP_FILTER_FLAG_LOG alone (Linux 4.16).  Values as in <linux/seccomp.h>: the
    action in the upper half, its data in the lower one.  EnvironmentProblem where the kernel does not tell.
    """
    found: list[tuple[int, set[int]]] = []
    with _stopped(pid):
        for index in range(64):
            metadata = ctypes.create_string_buffer(struct.pack("QQ", index, 0), 16)
            try:
                length = _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, None)
                program = ctypes.create_string_buffer(8 * length)
                _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, program)
                _ptrace(PTRACE_SECCOMP_GET_METADATA, pid, 16, metadata)
            except FileNotFoundError:  # ENOENT: no filter of that number
                break
            except OSError as error:
                raise EnvironmentProblem(f"the kernel does not show the filter: {error.strerror}") from error
            values = {k for code, _, _, k in struct.iter_unpack("HBBI", program.raw) if code == BPF_RET_K}
            found.append((struct.unpack("QQ", metadata.raw)[1], values))
    return found
