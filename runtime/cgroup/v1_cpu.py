"""linux.resources.cpu on cgroup v1: cpu and cpuset.  Documentation/scheduler/sched-bwc.rst, sched-rt-group.rst"""

from __future__ import annotations

import errno

from seatrial.runtime.cgroup.files import read, read_or
from seatrial.runtime.errors import SeatrialError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v1 import CgroupV1
    from seatrial.runtime.config import Resources


def apply_cpuset(cgroup: CgroupV1, resources: Resources) -> None:
    """Write cpus and mems where they are given."""
    for name, text in (("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems)):
        if text is not None:
            cgroup.put(cgroup.directory("cpuset"), name, text)


def apply_cpu(cgroup: CgroupV1, resources: Resources) -> None:
    """Write the members that are given.  SeatrialError where the host lacks the controller, SyscallError."""
    # idle first: a cgroup that ceases to be idle has the default shares, and one that is idle takes none (EINVAL).
    if resources.cpu_idle is not None:
        directory = cgroup.directory("cpu")
        if cgroup.undo is not None and read_or(directory, "cpu.idle", "") == "0":
            cgroup.undo.note(directory, "cpu.shares", [read(directory, "cpu.shares")])  # else lost with idle's return
        cgroup.put(directory, "cpu.idle", resources.cpu_idle)
    if resources.cpu_shares is not None and resources.cpu_idle != 1:
        directory = cgroup.directory("cpu")
        cgroup.put(directory, "cpu.shares", resources.cpu_shares)
        effective = int(read(directory, "cpu.shares"))
        if effective != resources.cpu_shares:  # the kernel clamps silently to 2..262144
            raise SeatrialError(f"cpu.shares {resources.cpu_shares} is out of range: the kernel took {effective}")
    in_some_order(
        cgroup,
        [
            ("cpu.rt_period_us", resources.cpu_realtime_period),
            ("cpu.rt_runtime_us", resources.cpu_realtime_runtime),
        ],
    )
    in_some_order(
        cgroup,
        [
            ("cpu.cfs_burst_us", resources.cpu_burst),
            ("cpu.cfs_period_us", resources.cpu_period),
            ("cpu.cfs_quota_us", resources.cpu_quota),
        ],
    )


def in_some_order(cgroup: CgroupV1, steps: list[tuple[str, int | None]]) -> None:
    """Write values that hang together.

    Each write must leave burst <= quota, runtime <= period and a ratio that the parent allows, so the right order
    depends on the values there: what is refused at first is tried again after the others.
    """
    again = []
    for name, value in steps:
        if value is None:
            continue
        try:
            cgroup.put(cgroup.directory("cpu"), name, value)
        except SyscallError as error:
            if error.errno != errno.EINVAL:
                raise
            again.append((name, value))
    for name, value in reversed(again):
        cgroup.put(cgroup.directory("cpu"), name, value)
