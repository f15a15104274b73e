"""Cgroup v2: one directory in the unified hierarchy.  cgroups(7), Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import errno
import os

from seatrial.runtime.cgroup.cgroup import SIGKILL, Cgroup, make_directories
from seatrial.runtime.cgroup.files import read, read_or, write
from seatrial.runtime.cgroup.freezer import freeze_v2, thaw_v2
from seatrial.runtime.errors import ConfigError, SeatrialError, StateError, SyscallError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import DeviceRule, Resources

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

    def _create_one(self, directory: str, made: list[str]) -> None:
        make_directories(directory, made)
        if self._missing(CONTROLLERS):
            self._enable(CONTROLLERS)
        kind = read_or(directory, "cgroup.type", "domain")
        if kind == "domain invalid":
            raise StateError(
                f"cgroup {directory} is {kind}: an ancestor is threaded", "choose another linux.cgroupsPath"
            )

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

    # -- limits ---------------------------------------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """pids, memory, cpu, devices, cpuset, then `unified`."""
        if resources.memory_swappiness is not None:
            raise UnsupportedError("linux.resources.memory.swappiness", "cgroup v2 has no such control")
        if resources.memory_disable_oom_killer:
            raise UnsupportedError("linux.resources.memory.disableOOMKiller", "cgroup v2 has no such control")
        if resources.cpu_realtime_period is not None or resources.cpu_realtime_runtime is not None:
            raise UnsupportedError("linux.resources.cpu.realtimeRuntime", "cgroup v2 has no such control")
        if resources.pids_limit is not None:
            limit = resources.pids_limit
            self._write("pids.max", "max" if limit < 0 else limit)
        self._apply_memory(resources)
        self._apply_cpu(resources)
        if resources.devices:
            self._apply_devices(resources.devices)
        if resources.cpuset_cpus is not None:
            self._write("cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems is not None:
            self._write("cpuset.mems", resources.cpuset_mems)
        self._apply_unified(resources.unified)

    def _write(self, name: str, value: str | int) -> None:
        if "" not in self.paths:
            raise SeatrialError(
                f"cannot set {name}: no permission to make a cgroup", "remove the limit, or delegate a cgroup"
            )
        controller = name.partition(".")[0]
        hint = ""
        if controller != "cgroup" and self._missing((controller,)):
            hint = f"the {controller} controller is not available in this cgroup"
        write(self.path, name, value, hint)

    def _apply_memory(self, resources: Resources) -> None:
        limit = resources.memory_limit
        swap = swap_max(limit, resources.memory_swap)
        if limit is not None and limit >= 0 and resources.memory_check_before_update:
            usage = int(read(self.path, "memory.current"))
            if usage > limit:
                raise SeatrialError(f"memory limit {limit} is below the usage of {usage} bytes (checkBeforeUpdate)")
        if swap is not None and (resources.memory_swap is not None or os.path.exists(f"{self.path}/memory.swap.max")):
            self._write("memory.swap.max", _amount(swap))
        if limit is not None:
            self._write("memory.max", _amount(limit))
        if resources.memory_reservation is not None:
            self._write("memory.low", _amount(resources.memory_reservation))

    def _apply_cpu(self, resources: Resources) -> None:
        if resources.cpu_idle is not None:
            self._write("cpu.idle", resources.cpu_idle)
        if resources.cpu_shares is not None and resources.cpu_idle != 1:  # an idle cgroup has no weight: EINVAL
            self._write("cpu.weight", weight(resources.cpu_shares))
        steps: list[tuple[str, str | int]] = []
        if resources.cpu_burst is not None:
            steps.append(("cpu.max.burst", resources.cpu_burst))
        quota, period = resources.cpu_quota, resources.cpu_period
        if quota is not None or period is not None:
            # A quota alone leaves the period; a period alone needs the quota that is there.
            text = _amount(quota) if quota is not None else read_or(self.path, "cpu.max", "max").split()[0]
            steps.append(("cpu.max", text if period is None else f"{text} {period}"))
        try:
            for name, value in steps:
                self._write(name, value)
        except SyscallError as error:
            if error.errno != errno.EINVAL or len(steps) < 2:
                raise
            for name, value in reversed(steps):  # burst <= quota must hold after each write
                self._write(name, value)

    def _apply_devices(self, rules: list[DeviceRule]) -> None:
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
                self._write(name, line)

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

    def frozen(self) -> bool:
        return "" in self.paths and read_or(self.path, "cgroup.freeze", "0") == "1"

    def _stopped(self) -> bool:
        return "" in self.paths and "frozen 1" in read_or(self.path, "cgroup.events", "").splitlines()

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


def _amount(value: int) -> str:
    return "max" if value < 0 else str(value)


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
