"""Cgroup v1 and hybrid hosts: one directory per hierarchy.  cgroups(7), Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import errno
import os
import time

from seatrial.runtime.cgroup.cgroup import SIGKILL, Cgroup, make_directories
from seatrial.runtime.cgroup.files import pids_in, read, read_or, write
from seatrial.runtime.cgroup.freezer import freeze_v1, thaw_tree_v1, thaw_v1
from seatrial.runtime.errors import SeatrialError, SyscallError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import DeviceRule, Resources

UNLIMITED = 1 << 62  # what reads back from an unlimited memory file is the largest page multiple of 63 bits


class CgroupV1(Cgroup):
    """Directories below v1 hierarchies, and below the v2 one (key "") on a hybrid host."""

    __slots__ = ()

    version = 1

    def _create_one(self, directory: str, made: list[str]) -> None:
        make_directories(directory, made)
        if directory == self.paths.get("cpuset"):
            for name in ("cpuset.cpus", "cpuset.mems"):
                _fill(directory, name)

    # -- limits ---------------------------------------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """cpuset, devices, memory, cpu, pids, in this order; SeatrialError where the host lacks the controller."""
        if resources.unified:
            raise UnsupportedError("linux.resources.unified", "this host has cgroup v1")
        if resources.cpuset_cpus is not None:
            write(self._directory("cpuset"), "cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems is not None:
            write(self._directory("cpuset"), "cpuset.mems", resources.cpuset_mems)
        if resources.devices:
            self._apply_devices(resources.devices)
        self._apply_memory(resources)
        self._apply_cpu(resources)
        if resources.pids_limit is not None:
            limit = resources.pids_limit
            write(self._directory("pids"), "pids.max", "max" if limit < 0 else limit)

    def _directory(self, controller: str) -> str:
        path = self.paths.get(controller)
        if path is None:
            raise SeatrialError(f"the {controller} controller is not available", "mount it, or remove its limits")
        return path

    def _apply_devices(self, rules: list[DeviceRule]) -> None:
        from seatrial.runtime.cgroup.device_rules import DeviceState, emulate, in_user_namespace

        if in_user_namespace():
            return  # devices.allow and devices.deny need CAP_SYS_ADMIN of the initial user namespace
        directory = self._directory("devices")
        wanted = emulate(rules)
        for name, text in DeviceState.parse(read(directory, "devices.list")).transition(wanted):
            write(directory, name, text)
        now = DeviceState.parse(read(directory, "devices.list"))
        if now.allow_by_default != wanted.allow_by_default or (not now.allow_by_default and now != wanted):
            raise SeatrialError(
                f"devices.list of {directory} is {sorted(now.lines())} and not {sorted(wanted.lines())}",
                "a cgroup cannot allow what its parent denies",
            )

    def _apply_memory(self, resources: Resources) -> None:
        if resources.memory_use_hierarchy:
            # First: the kernel allows it only while nothing is below.
            directory = self._directory("memory")
            if read_or(directory, "memory.use_hierarchy", "1") != "1":
                write(directory, "memory.use_hierarchy", 1)
        limit, swap = resources.memory_limit, resources.memory_swap
        if limit is not None or swap is not None:
            directory = self._directory("memory")
            if limit == -1 and swap is None and read_or(directory, "memory.memsw.limit_in_bytes", ""):
                swap = -1  # the kernel keeps limit <= memory + swap
            steps = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
            if swap is not None and _grows(directory, swap):
                steps.reverse()
            for name, value in steps:
                if value is not None:
                    write(directory, name, value)
        if resources.memory_reservation is not None:
            write(self._directory("memory"), "memory.soft_limit_in_bytes", resources.memory_reservation)
        if resources.memory_swappiness is not None:
            write(self._directory("memory"), "memory.swappiness", resources.memory_swappiness)
        if resources.memory_disable_oom_killer is not None:
            write(self._directory("memory"), "memory.oom_control", int(resources.memory_disable_oom_killer))

    def _apply_cpu(self, resources: Resources) -> None:
        if resources.cpu_shares is not None:
            directory = self._directory("cpu")
            write(directory, "cpu.shares", resources.cpu_shares)
            effective = int(read(directory, "cpu.shares"))
            if effective != resources.cpu_shares:  # the kernel clamps silently to 2..262144
                raise SeatrialError(f"cpu.shares {resources.cpu_shares} is out of range: the kernel took {effective}")
        if resources.cpu_idle is not None:
            write(self._directory("cpu"), "cpu.idle", resources.cpu_idle)
        if resources.cpu_realtime_period is not None:
            write(self._directory("cpu"), "cpu.rt_period_us", resources.cpu_realtime_period)
        if resources.cpu_realtime_runtime is not None:
            write(self._directory("cpu"), "cpu.rt_runtime_us", resources.cpu_realtime_runtime)
        # Each write must leave burst <= quota and a ratio of quota to period that the parent allows, so the right order
        # depends on the values there: what is refused at first is tried again after the others.
        steps = [
            ("cpu.cfs_burst_us", resources.cpu_burst),
            ("cpu.cfs_period_us", resources.cpu_period),
            ("cpu.cfs_quota_us", resources.cpu_quota),
        ]
        again = []
        for name, value in steps:
            if value is None:
                continue
            try:
                write(self._directory("cpu"), name, value)
            except SyscallError as error:
                if error.errno != errno.EINVAL:
                    raise
                again.append((name, value))
        for name, value in reversed(again):
            write(self._directory("cpu"), name, value)

    # -- processes ------------------------------------------------------------------------------------------------

    def frozen(self) -> bool:
        freezer = self.paths.get("freezer")
        return freezer is not None and read_or(freezer, "freezer.self_freezing", "0") == "1"

    def _stopped(self) -> bool:
        freezer = self.paths.get("freezer")
        return freezer is not None and read_or(freezer, "freezer.state", "THAWED") != "THAWED"

    def freeze(self) -> None:
        freeze_v1(self._directory("freezer"))

    def thaw(self) -> None:
        if "freezer" in self.paths:
            thaw_v1(self.paths["freezer"])

    def kill_all(self, signal: int = SIGKILL) -> None:
        if signal != SIGKILL:
            self._signal_each(signal)
            return
        unified = self.paths.get("")
        if unified is not None and self._kill_at_once(unified):
            self._thaw_tree()  # the signals are pending, but nobody takes one who is frozen
            for milliseconds in (1, 2, 4, 8, 16):
                if not self.pids():
                    return
                time.sleep(milliseconds / 1000)
        if self.pids():  # no cgroup.kill; or moved elsewhere in the v2 hierarchy
            self._kill_frozen()

    def _thaw_tree(self) -> None:
        if "freezer" in self.paths:
            thaw_tree_v1(self.paths["freezer"])

    def _process_directories(self) -> list[str]:
        # The freezer and the devices hierarchy say the same unless somebody moved a process by hand; more are not
        # asked, since this is on the path of every kill and delete.
        names = [name for name in ("freezer", "devices", "") if name in self.paths]
        return list(dict.fromkeys(self.paths[name] for name in names)) or self.directories()[:1]

    def populated(self) -> bool:
        return any(pids_in(directory) for directory in self.directories()) or bool(self.pids())


def _fill(directory: str, name: str) -> None:
    """Give a cpuset that is empty, as a new one is, its parent's value: no process may enter an empty one (ENOSPC)."""
    if not read(directory, name):
        parent = os.path.dirname(directory)
        _fill(parent, name)
        write(directory, name, read(parent, name))


def _grows(directory: str, swap: int) -> bool:
    """Whether memory + swap is to become larger than now: then it goes first, else the memory limit does."""
    now = int(read_or(directory, "memory.memsw.limit_in_bytes", "0"))
    return swap == -1 or swap > min(now, UNLIMITED)
