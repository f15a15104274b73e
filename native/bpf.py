"""BPF programs of cgroups: bpf(2).  Device programs are Linux 4.15, replacing one atomically 5.6."""

from __future__ import annotations

import errno

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import checked, failure

PROG_TYPE_CGROUP_DEVICE = 15
CGROUP_DEVICE = 6  # attach type

ALLOW_MULTI = 2
REPLACE = 4

INSTRUCTION_BYTES = 8
_LOAD_RETRIES = 30
_LOG_BYTES = 1 << 20


def load(
    program: bytes, *, type: int = PROG_TYPE_CGROUP_DEVICE, license: bytes = b"Apache-2.0", name: bytes = b""
) -> int:
    """A descriptor of a verified program.

    EAGAIN (the verifier was interrupted by a signal) is retried 30 times.  Raises OSError, with the verifier's last
    lines as a note, when it refuses the program.
    """
    count = len(program) // INSTRUCTION_BYTES
    fd = -errno.EAGAIN
    for _ in range(_LOAD_RETRIES):
        fd = lib.seatrial_bpf_load(type, program, count, license, name, ffi.NULL, 0)
        if fd != -errno.EAGAIN:
            break
    if fd >= 0:
        return fd
    error = failure(-fd, "bpf", "BPF_PROG_LOAD")
    log = ffi.new("char[]", _LOG_BYTES)
    again = lib.seatrial_bpf_load(type, program, count, license, name, log, _LOG_BYTES)
    if again >= 0:  # the first failure was of the moment (memory, say)
        return again
    lines = ffi.buffer(log)[:].split(b"\0", 1)[0].decode(errors="replace").splitlines()
    if lines:
        error.add_note("verifier: " + " / ".join(lines[-4:]))
    raise error


def attach(
    cgroup_fd: int, program_fd: int, *, flags: int = ALLOW_MULTI, replace_fd: int = -1, type: int = CGROUP_DEVICE
) -> None:
    """Attach a program to a cgroup; with REPLACE in flags in the place of `replace_fd`."""
    checked(lib.seatrial_bpf_attach(cgroup_fd, program_fd, type, flags, replace_fd), "bpf", "BPF_PROG_ATTACH")


def detach(cgroup_fd: int, program_fd: int, *, type: int = CGROUP_DEVICE) -> None:
    """Detach a program from a cgroup; FileNotFoundError when it is not attached."""
    checked(lib.seatrial_bpf_detach(cgroup_fd, program_fd, type), "bpf", "BPF_PROG_DETACH")


def query(cgroup_fd: int, *, type: int = CGROUP_DEVICE) -> list[int]:
    """Ids of the programs attached to a cgroup itself (not to its ancestors), in the order in which they run."""
    slots = 64
    while True:
        ids = ffi.new("unsigned int[]", slots)
        result = ffi.new("unsigned int[2]")
        error = -lib.seatrial_bpf_query(cgroup_fd, type, 0, ids, slots, result)
        if error == 0:
            return [ids[i] for i in range(result[1])]
        if error != errno.ENOSPC:
            raise failure(error, "bpf", "BPF_PROG_QUERY")
        slots = max(result[1], slots * 2)


def by_id(id: int) -> int:
    """A descriptor of a loaded program; FileNotFoundError when it is gone."""
    return checked(lib.seatrial_bpf_by_id(id), "bpf", f"BPF_PROG_GET_FD_BY_ID {id}")
