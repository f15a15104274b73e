"""linux.resources.cpu on cgroup v2: cpu and cpuset.  Documentation/admin-guide/cgroup-v2.rst#cpu, #cpuset"""

from __future__ import annotations

import errno

from seatrial.runtime.cgroup.files import read_or
from seatrial.runtime.cgroup.v2_memory import amount
from seatrial.runtime.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v2 import CgroupV2
    from seatrial.runtime.config import Resources


def apply_cpuset(cgroup: CgroupV2, resources: Resources) -> None:
    """Write cpus and mems where they are given."""
    if resources.cpuset_cpus is not None:
        cgroup.limit("cpuset.cpus", resources.cpuset_cpus)
    if resources.cpuset_mems is not None:
        cgroup.limit("cpuset.mems", resources.cpuset_mems)


def apply_cpu(cgroup: CgroupV2, resources: Resources) -> None:
    """Write the members that are given.  SyscallError."""
    # idle first: a cgroup that ceases to be idle has the default weight, and one that is idle takes none (EINVAL).
    if resources.cpu_idle is not None:
        if cgroup.undo is not None and read_or(cgroup.path, "cpu.idle", "") == "0":
            weight_now = read_or(cgroup.path, "cpu.weight", "100")
            cgroup.undo.note(cgroup.path, "cpu.weight", [weight_now])  # else lost with idle's return
        cgroup.limit("cpu.idle", resources.cpu_idle)
    if resources.cpu_shares is not None and resources.cpu_idle != 1:
        cgroup.limit("cpu.weight", weight(resources.cpu_shares))
    steps: list[tuple[str, str | int]] = []
    if resources.cpu_burst is not None:
        steps.append(("cpu.max.burst", resources.cpu_burst))
    quota, period = resources.cpu_quota, resources.cpu_period
    if quota is not None or period is not None:
        # A quota alone leaves the period; a period alone needs the quota that is there.
        text = amount(quota) if quota is not None else read_or(cgroup.path, "cpu.max", "max").split()[0]
        steps.append(("cpu.max", text if period is None else f"{text} {period}"))
    try:
        for name, value in steps:
            cgroup.limit(name, value)
    except SyscallError as error:
        if error.errno != errno.EINVAL or len(steps) < 2:
            raise
        for name, value in reversed(steps):  # burst <= quota must hold after each write
            cgroup.limit(name, value)


def weight(shares: int) -> int:
    """cpu.weight (1 to 10000, default 100) from cpu.shares (2 to 262144, default 1024).

    A curve through the three pairs (minimum, default, maximum), in the logarithms:
    log10(weight) = (l^2 + 125 l) / 612 - 7 / 34 with l = log2(shares), rounded up.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))
