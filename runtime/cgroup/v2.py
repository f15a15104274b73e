"""Cgroup v2: one directory in the unified hierarchy.  cgroups(7), Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.cgroup import SIGKILL, Cgroup, make_directories, nearest
from seatrial.runtime.cgroup.files import read_or, write
from seatrial.runtime.cgroup.freezer import freeze_v2, thaw_v2
from seatrial.runtime.errors import ConfigError, SeatrialError, StateError, SyscallError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import DeviceRule, Resources
    from seatrial.runtime.stats import Stats

# Enabled on the way to every container: what limits and statistics need.  The others (hugetlb, rdma, misc, dmem) cost
# accounting in every cgroup of the branch, so they are enabled when `unified` names one of their files.
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")  # where the kernel does not tell (before 4.15)


class CgroupV2(Cgroup):
    """The container's directory in the unified hierarchy: ``paths[""]``."""

    __slots__ = ()

    version = 2

    @property
    def path(self) -> str:
        """The directory."""
        return self.paths[""]

    def _create_one(self, directory: str, made: list[str], resources: Resources | None) -> None:
        make_directories(directory, made)
        if read_or(directory, "cgroup.type", "domain") in ("domain invalid", "threaded"):
            self._make_threaded(directory, made, resources)
        if self._missing(CONTROLLERS):
            self._enable(CONTROLLERS)

    def _missing(self, controllers: tuple[str, ...]) -> bool:
        have = read_or(self.path, "cgroup.controllers", "").split()
        return any(controller not in have for controller in controllers)

    def _enable(self, controllers: tuple[str, ...]) -> None:
        """Enable what is available on each level above the container's; what is refused shows when a limit needs it."""
        levels = []
        level = os.path.dirname(self.path)
        while os.path.exists(f"{level}/cgroup.subtree_control"):
            levels.append(level)
            level = os.path.dirname(level)
        for level in reversed(levels):
            on = read_or(level, "cgroup.subtree_control", "").split()
            offered = read_or(level, "cgroup.controllers", "").split()
            words = [f"+{name}" for name in controllers if name in offered and name not in on]
            if not words:
                continue
            try:
                write(level, "cgroup.subtree_control", " ".join(words))
            except SyscallError:
                # One of them (a level with processes, real-time tasks under cpu): the others may do.
                for word in words:
                    try:
                        write(level, "cgroup.subtree_control", word)
                    except SyscallError:
                        pass

    def _make_threaded(self, directory: str, made: list[str], resources: Resources | None) -> None:
        """Below a threaded cgroup there are only threaded ones, and they have no controllers of whole processes."""
        limit = _limit_of_a_domain(resources) if resources is not None else ""
        if limit:
            raise StateError(
                f"cgroup {directory} is below a threaded one: no place for {limit}", "choose another linux.cgroupsPath"
            )
        for level in [*made, directory]:
            if read_or(level, "cgroup.type", "") == "domain invalid":
                write(level, "cgroup.type", "threaded", "an ancestor is threaded")

    # -- limits ---------------------------------------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """pids, memory, io, cpu, devices, cpuset, hugetlb, rdma, then `unified`.

        UnsupportedError, before anything is written, for what v2 has no counterpart of (config-linux.md#unified).
        """
        _refuse(resources)
        blocks = resources.blocks()  # what is not given costs no import
        if resources.pids_limit is not None:
            limit = resources.pids_limit
            self.limit("pids.max", "max" if limit < 0 else limit)
        if "memory" in blocks:
            from seatrial.runtime.cgroup.v2_memory import apply_memory

            apply_memory(self, resources)
        if "blkio" in blocks:
            from seatrial.runtime.cgroup.v2_io import apply_io

            apply_io(self, resources)
        if "cpu" in blocks:
            from seatrial.runtime.cgroup.v2_cpu import apply_cpu

            apply_cpu(self, resources)
        if "devices" in blocks:
            self.apply_devices(resources.devices)
        if "cpuset" in blocks:
            from seatrial.runtime.cgroup.v2_cpu import apply_cpuset

            apply_cpuset(self, resources)
        if "hugepage" in blocks:
            from seatrial.runtime.cgroup.hugetlb import apply_hugepages

            apply_hugepages(self, self.require("hugetlb"), resources.hugepage_limits)
        if "rdma" in blocks:
            from seatrial.runtime.cgroup.rdma import apply_rdma

            apply_rdma(self, self.require("rdma"), resources.rdma)
        self._apply_unified(resources.unified)

    def limit(self, name: str, value: str | int, back: list[str] | None = None) -> None:
        """Write one file.  SyscallError, with a hint when its controller is not enabled here; SeatrialError when there
        is no cgroup (rootless)."""
        if "" not in self.paths:
            raise SeatrialError(
                f"cannot set {name}: no permission to make a cgroup", "remove the limit, or delegate a cgroup"
            )
        controller = name.partition(".")[0]
        hint = ""
        if controller != "cgroup" and self._missing((controller,)):
            hint = f"the {controller} controller is not available in this cgroup"
        self.put(self.path, name, value, hint, back)

    def require(self, controller: str) -> str:
        """The directory, with a controller enabled that is not among those which every container gets."""
        if "" not in self.paths:
            raise SeatrialError(
                f"cannot set a limit of {controller}: no permission to make a cgroup",
                "remove the limit, or delegate a cgroup",
            )
        if self._missing((controller,)):
            self._enable((controller,))
            if self._missing((controller,)):
                raise SeatrialError(f"the {controller} controller is not available in cgroup {self.path}")
        return self.path

    def apply_devices(self, rules: list[DeviceRule]) -> None:
        """By a program in the place of the one that is there, without a moment between them; nothing for a user."""
        if os.geteuid() != 0:
            return  # bpf(2) needs CAP_BPF; the container's user namespace makes no device node either
        from seatrial.runtime.cgroup.device_attach import attach

        attach(self.fd(), rules)

    def _apply_unified(self, unified: dict[str, str]) -> None:
        for name, text in unified.items():
            controller, dot, _ = name.partition(".")
            if not dot or "/" in name:
                raise ConfigError(f"linux.resources.unified[{name!r}]", "not the name of a cgroup file")
            if controller != "cgroup" and self._missing((controller,)):
                self._enable((controller,))
            for line in text.splitlines() or [text]:  # such as io.max: one device a line
                self.limit(name, line, self._before(name, line) if self.undo is not None else None)

    def _before(self, name: str, line: str) -> list[str] | None:
        """What restores a file whose lines have keys (cgroup-v2.rst, "nested keyed"); None: its one value does."""
        from seatrial.runtime.cgroup.v2_io import NO_THROTTLE

        text = read_or(self.path, name, "")
        key = line.partition(" ")[0]
        lines = [old for old in text.splitlines() if old.partition(" ")[0] == key]
        if name == "io.max":
            return lines or [f"{key} {NO_THROTTLE}"]
        return lines if lines and "\n" in text else None

    def delegate(self, uid: int) -> None:
        """Give the cgroup to a host uid: the directory, and the files that the kernel names for it, that exist.

        config-linux.md#cgroup-ownership; /sys/kernel/cgroup/delegate, Linux 4.15.
        """
        try:
            with open("/sys/kernel/cgroup/delegate", encoding="ascii") as file:
                names = file.read().split()
        except OSError:
            names = list(DELEGATED)
        for name in ["", *names]:
            path = f"{self.path}/{name}" if name else self.path
            try:
                os.chown(path, uid, -1, follow_symlinks=False)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise SyscallError.of("chown", path, error) from None

    # -- processes ------------------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        from seatrial.runtime.cgroup.stats_v2 import stats

        return stats(self.path)

    def frozen(self) -> bool:
        return "" in self.paths and read_or(self.path, "cgroup.freeze", "0") == "1"

    def _stopped(self) -> bool:
        return "" in self.paths and "frozen 1" in read_or(nearest(self.path), "cgroup.events", "").splitlines()

    def freeze(self) -> None:
        freeze_v2(self.path)

    def thaw(self) -> None:
        if "" in self.paths:
            thaw_v2(self.path)

    def kill_all(self, signal: int = SIGKILL) -> None:
        if signal != SIGKILL:
            self._signal_each(signal)
            return
        if "" in self.paths and not self._kill_at_once(self.path) and self.pids():
            self._kill_frozen()

    def populated(self) -> bool:
        return "populated 1" in read_or(self.path, "cgroup.events", "").splitlines() if "" in self.paths else False


def _limit_of_a_domain(resources: Resources) -> str:
    """A limit whose controller accounts to whole processes and so is not to be had in a threaded cgroup."""
    for name in ("memory_limit", "memory_reservation", "memory_swap"):
        if getattr(resources, name) is not None:
            return f"linux.resources.memory.{name[7:]}"
    if "blkio" in resources.blocks():
        return "linux.resources.blockIO"
    if resources.hugepage_limits:
        return "linux.resources.hugepageLimits"
    return "linux.resources.rdma" if resources.rdma else ""


def _refuse(resources: Resources) -> None:
    for value, member, unset in (
        (resources.memory_kernel, "memory.kernel", None),
        (resources.memory_kernel_tcp, "memory.kernelTCP", None),
        (resources.memory_swappiness, "memory.swappiness", None),
        (resources.memory_disable_oom_killer or None, "memory.disableOOMKiller", None),
        (resources.cpu_realtime_period, "cpu.realtimePeriod", None),
        (resources.cpu_realtime_runtime, "cpu.realtimeRuntime", None),
        (resources.blkio_leaf_weight, "blockIO.leafWeight", None),
        (resources.net_class_id, "network.classID", None),
        (resources.net_priorities, "network.priorities", []),
    ):
        if value != unset:
            raise UnsupportedError(f"linux.resources.{member}", "cgroup v2 has no such control")
    for index, device in enumerate(resources.blkio_weight_devices):
        if device.leaf_weight is not None:
            where = f"linux.resources.blockIO.weightDevice[{index}].leafWeight"
            raise UnsupportedError(where, "cgroup v2 has no such control")
    if resources.memory_use_hierarchy is False:
        raise UnsupportedError("linux.resources.memory.useHierarchy", "cgroup v2 always accounts for children")
