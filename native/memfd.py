"""Sealed memory files: what is in one cannot change any more, whoever holds it.  memfd_create(2), Linux 3.17."""

from __future__ import annotations

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import checked, encoded

SEAL_SEAL = 1
SEAL_SHRINK = 2
SEAL_GROW = 4
SEAL_WRITE = 8


def sealed_memfd(name: str | bytes, source: bytes | int, *, executable: bool = False) -> int:
    """A memory file with the given bytes, or with the whole content of the file behind a descriptor, at offset 0.

    Sealed against write, growth, shrinking and further seals.  Without `executable` it cannot be executed either
    (MFD_NOEXEC_SEAL, Linux 6.3; sysctl vm.memfd_noexec=2 refuses the other kind: EACCES).
    """
    label = encoded(name)
    if isinstance(source, bytes):
        fd = lib.seatrial_sealed_memfd(label, executable, source, len(source), -1)
    else:
        fd = lib.seatrial_sealed_memfd(label, executable, ffi.NULL, 0, source)
    return checked(fd, "memfd_create", name)


def seals(fd: int) -> int:
    """The SEAL_* bits of a memory file (F_GET_SEALS); OSError EINVAL for another kind of file."""
    return checked(lib.seatrial_get_seals(fd), "fcntl", f"F_GET_SEALS of fd {fd}")
