"""Cgroup v1 and hybrid hosts: one directory per hierarchy.  cgroups(7), Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import os
import time

from seatrial.runtime.cgroup.cgroup import SIGKILL, Cgroup, make_directories, nearest
from seatrial.runtime.cgroup.files import pids_in, read, read_or, write
from seatrial.runtime.cgroup.freezer import freeze_v1, thaw_tree_v1, thaw_v1
from seatrial.runtime.errors import SeatrialError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import DeviceRule, Resources
    from seatrial.runtime.stats import Stats


class CgroupV1(Cgroup):
    """Directories below v1 hierarchies, and below the v2 one (key "") on a hybrid host."""

    __slots__ = ()

    version = 1

    def _create_one(self, directory: str, made: list[str], resources: Resources | None) -> None:
        make_directories(directory, made)
        if directory == self.paths.get("cpuset"):
            for name in ("cpuset.cpus", "cpuset.mems"):
                _fill(directory, name)

    # -- limits ---------------------------------------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """cpuset, devices, memory, cpu, pids, blkio, hugetlb, net_cls, net_prio, rdma, in this order.

        SeatrialError where the host lacks the controller of a limit.
        """
        if resources.unified:
            raise UnsupportedError("linux.resources.unified", "this host has cgroup v1")
        blocks = resources.blocks()  # what is not given costs no import
        if "cpuset" in blocks:
            from seatrial.runtime.cgroup.v1_cpu import apply_cpuset

            apply_cpuset(self, resources)
        if "devices" in blocks:
            self.apply_devices(resources.devices)
        if "memory" in blocks:
            from seatrial.runtime.cgroup.v1_memory import apply_memory

            apply_memory(self, resources)
        if "cpu" in blocks:
            from seatrial.runtime.cgroup.v1_cpu import apply_cpu

            apply_cpu(self, resources)
        if resources.pids_limit is not None:
            limit = resources.pids_limit
            self.put(self.directory("pids"), "pids.max", "max" if limit < 0 else limit)
        if "blkio" in blocks:
            from seatrial.runtime.cgroup.v1_io import apply_io

            apply_io(self, resources)
        if "hugepage" in blocks:
            from seatrial.runtime.cgroup.hugetlb import apply_hugepages

            apply_hugepages(self, self.directory("hugetlb"), resources.hugepage_limits)
        if "net" in blocks:
            from seatrial.runtime.cgroup.v1_network import apply_network

            apply_network(self, resources)
        if "rdma" in blocks:
            from seatrial.runtime.cgroup.rdma import apply_rdma

            apply_rdma(self, self.directory("rdma"), resources.rdma)

    def directory(self, controller: str) -> str:
        """The directory in a controller's hierarchy.  SeatrialError where the host has none."""
        path = self.paths.get(controller)
        if path is None:
            if os.geteuid() != 0:
                hint = "this user may not make a cgroup: remove the limit, or have a cgroup delegated"
                raise SeatrialError(f"the {controller} controller is not available", hint)
            raise SeatrialError(f"the {controller} controller is not available", "mount it, or remove its limits")
        return path

    def apply_devices(self, rules: list[DeviceRule]) -> None:
        """By the smallest change of devices.list; nothing without root's privileges, which it takes."""
        from seatrial.runtime.cgroup.device_rules import DeviceState, emulate, in_user_namespace

        if os.geteuid() != 0 or in_user_namespace():
            return  # devices.allow and devices.deny need CAP_SYS_ADMIN of the initial user namespace
        directory = self.directory("devices")
        wanted = emulate(rules)
        for name, text in DeviceState.parse(read(directory, "devices.list")).transition(wanted):
            write(directory, name, text)
        now = DeviceState.parse(read(directory, "devices.list"))
        if now.allow_by_default != wanted.allow_by_default or (not now.allow_by_default and now != wanted):
            raise SeatrialError(
                f"devices.list of {directory} is {sorted(now.lines())} and not {sorted(wanted.lines())}",
                "a cgroup cannot allow what its parent denies",
            )

    # -- processes ------------------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        from seatrial.runtime.cgroup.stats_v1 import stats

        return stats(self.paths)

    def frozen(self) -> bool:
        freezer = self.paths.get("freezer")
        return freezer is not None and read_or(freezer, "freezer.self_freezing", "0") == "1"

    def _stopped(self) -> bool:
        freezer = self.paths.get("freezer")
        return freezer is not None and read_or(nearest(freezer), "freezer.state", "THAWED") != "THAWED"

    def freeze(self) -> None:
        freeze_v1(self.directory("freezer"))

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
