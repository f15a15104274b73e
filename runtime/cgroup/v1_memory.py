"""linux.resources.memory on cgroup v1.  Documentation/admin-guide/cgroup-v1/memory.rst"""

from __future__ import annotations

from seatrial.runtime.cgroup.files import read, read_or
from seatrial.runtime.errors import SeatrialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v1 import CgroupV1
    from seatrial.runtime.config import Resources

UNLIMITED = 1 << 62  # what reads back from an unlimited memory file is the largest page multiple of 63 bits
LIMIT = "memory.limit_in_bytes"
SWAP = "memory.memsw.limit_in_bytes"


def apply_memory(cgroup: CgroupV1, resources: Resources) -> None:
    """Write the members that are given.  SeatrialError where the host lacks the controller, SyscallError."""
    if resources.memory_use_hierarchy is not None:
        # First: the kernel allows it only while nothing is below.  Without the file all is hierarchical (Linux 5.11).
        directory = cgroup.directory("memory")
        wanted = str(int(resources.memory_use_hierarchy))
        if read_or(directory, "memory.use_hierarchy", "1") != wanted:
            hint = "" if wanted == "1" else "kernels since 5.11 always account for children"
            cgroup.put(directory, "memory.use_hierarchy", wanted, hint)
    if resources.memory_limit is not None or resources.memory_swap is not None:
        _apply_limits(cgroup, cgroup.directory("memory"), resources)
    for name, value in (
        ("memory.soft_limit_in_bytes", resources.memory_reservation),
        ("memory.kmem.limit_in_bytes", resources.memory_kernel),
        ("memory.kmem.tcp.limit_in_bytes", resources.memory_kernel_tcp),
        ("memory.swappiness", resources.memory_swappiness),
    ):
        if value is None:
            continue
        directory = cgroup.directory("memory")
        cgroup.put(directory, name, value)
        if "kmem" in name and value >= 0 and int(read(directory, name)) > UNLIMITED:
            # Since Linux 5.16 the write succeeds and does nothing.
            raise SeatrialError(f"write {value} to {directory}/{name}: this kernel has no such limit any more")
    if resources.memory_disable_oom_killer is not None:
        directory = cgroup.directory("memory")
        before = read_or(directory, "memory.oom_control", "").splitlines()
        back = [line.split()[1] for line in before if line.startswith("oom_kill_disable ")]
        cgroup.put(directory, "memory.oom_control", int(resources.memory_disable_oom_killer), back=back)


def _apply_limits(cgroup: CgroupV1, directory: str, resources: Resources) -> None:
    limit, swap = resources.memory_limit, resources.memory_swap
    if limit is not None and limit >= 0 and resources.memory_check_before_update:
        # The kernel refuses it too (EBUSY), but only after it has tried to reclaim: the spec's word is usage.
        usage = int(read(directory, "memory.usage_in_bytes"))
        if usage > limit:
            raise SeatrialError(f"memory limit {limit} is below the usage of {usage} bytes (checkBeforeUpdate)")
    now = read_or(directory, SWAP, "")
    if not now and swap is not None and (swap == -1 or (swap == limit and not swap_is_on())):
        swap = None  # no accounting of swap, and nothing to account for
    if limit == -1 and swap is None and now:
        swap = -1  # the kernel keeps limit <= memory + swap
    steps = [(LIMIT, limit), (SWAP, swap)]
    if swap is not None and (swap == -1 or swap > min(int(now or 0), UNLIMITED)):
        steps.reverse()  # growing: the outer limit first
    for name, value in steps:
        if value is not None:
            cgroup.put(directory, name, value)


def swap_is_on() -> bool:
    """Whether this host has any swap at all (proc_swaps(5): one line is the heading)."""
    return len(read_or("/proc", "swaps", "").splitlines()) > 1
