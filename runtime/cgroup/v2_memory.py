"""linux.resources.memory on cgroup v2.  Documentation/admin-guide/cgroup-v2.rst#memory"""

from __future__ import annotations

import errno

from seatrial.runtime.cgroup.files import read, read_or
from seatrial.runtime.errors import ConfigError, SeatrialError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v2 import CgroupV2
    from seatrial.runtime.config import Resources


def amount(value: int) -> str:
    """A limit as v2 writes it."""
    return "max" if value < 0 else str(value)


def apply_memory(cgroup: CgroupV2, resources: Resources) -> None:
    """Write the members that are given.  ConfigError for a swap that cannot be converted, SyscallError."""
    limit = base = resources.memory_limit
    if limit is None and resources.memory_swap is not None:
        now = read_or(cgroup.path, "memory.max", "")
        base = int(now) if now.isdigit() else None
    swap = swap_max(base, resources.memory_swap)
    if limit is not None and limit >= 0 and resources.memory_check_before_update:
        usage = int(read(cgroup.path, "memory.current"))
        if usage > limit:
            raise SeatrialError(f"memory limit {limit} is below the usage of {usage} bytes (checkBeforeUpdate)")
    if swap is not None:
        try:
            cgroup.limit("memory.swap.max", amount(swap))
        except SyscallError as error:
            # Without accounting of swap (swapaccount=0) nothing is lost where there is no limit, or no swap at all.
            accounted = error.errno != errno.ENOENT
            if accounted or not read_or(cgroup.path, "memory.max", "") or not (swap < 0 or (not swap and _no_swap())):
                raise
    if limit is not None:
        cgroup.limit("memory.max", amount(limit))
    if resources.memory_reservation is not None:
        cgroup.limit("memory.low", amount(resources.memory_reservation))


def _no_swap() -> bool:
    from seatrial.runtime.cgroup.v1_memory import swap_is_on

    return not swap_is_on()


def swap_max(limit: int | None, swap: int | None) -> int | None:
    """memory.swap.max from OCI's limit and swap (memory + swap): v2 counts swap alone.  None: leave it.

    An unlimited memory without a word about swap takes the limit off swap too: on v1 it could not have one.
    """
    if swap is None:
        return -1 if limit == -1 else None
    if swap < 0:
        return -1
    if limit is None or limit < 0:
        raise ConfigError("linux.resources.memory.swap", "needs a memory limit: cgroup v2 limits swap alone")
    if swap < limit:
        raise ConfigError("linux.resources.memory.swap", f"is below the memory limit: {swap} < {limit}")
    return swap - limit
