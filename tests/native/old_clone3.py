"""clone3 refused by a seccomp filter: every call, or only those whose argument has room for a cgroup."""

from __future__ import annotations

import struct

from seatrial.native import seccomp
from seatrial.native.syscall import PR_SET_NO_NEW_PRIVS, prctl

CLONE3 = 435
CLONE_ARGS_SIZE_VER2 = 88  # with the cgroup member: Linux 5.7
TSYNC = 1
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000


def refuse_clone3(errno: int, into_cgroup_only: bool = False) -> None:
    """Load the filter for every thread of this process, and for what it will execute."""
    # seccomp_data: number at 0, the size (second argument) at 24.
    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06
    rows = [(load, 0, 0, 0), (equal, 0, 3, CLONE3), (load, 0, 0, 24)]
    rows.append((at_least, 0, 1, CLONE_ARGS_SIZE_VER2 if into_cgroup_only else 0))
    rows += [(end, 0, 0, _ERRNO | errno), (end, 0, 0, _ALLOW)]
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load_filter(b"".join(struct.pack("=HBBI", *row) for row in rows), TSYNC)
