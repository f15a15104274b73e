"""linux.resources.hugepageLimits, on both versions.  Documentation/admin-guide/cgroup-v1/hugetlb.rst, cgroup-v2.rst

Both limits of a size are set: on reservations (``rsvd``, Linux 5.7), which the spec asks for because a process learns
of it from mmap(2), and on pages in use, which is all that older kernels have.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.config import HugepageLimit


def apply_hugepages(cgroup: Cgroup, directory: str, limits: list[HugepageLimit]) -> None:
    """Write the limits, in bytes.  SyscallError, naming the sizes that this kernel has."""
    suffix = "limit_in_bytes" if cgroup.version == 1 else "max"
    for entry in limits:
        name = f"hugetlb.{entry.page_size}.{suffix}"
        hint = "" if os.path.exists(f"{directory}/{name}") else f"the cgroup has huge pages of {_sizes(directory)}"
        cgroup.put(directory, name, entry.limit, hint)
        reserved = f"hugetlb.{entry.page_size}.rsvd.{suffix}"
        if os.path.exists(f"{directory}/{reserved}"):
            cgroup.put(directory, reserved, entry.limit)


def _sizes(directory: str) -> str:
    """``2MB and 1GB``."""
    sizes = sorted({name.split(".")[1] for name in os.listdir(directory) if name.startswith("hugetlb.")})
    return " and ".join(sizes) or "no size"
