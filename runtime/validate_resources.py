"""Rules for the cgroup's place and limits that hold on every host."""

from __future__ import annotations

from seatrial.runtime.config import Config, Resources
from seatrial.runtime.errors import ConfigError

_HIGHEST_CPU = 65536


def validate_cgroups(config: Config) -> None:
    """Raise ConfigError for a path that leaves the hierarchy and for limits that contradict each other."""
    path = config.cgroups.path
    if path is not None and (".." in path.split("/") or "\n" in path):
        raise ConfigError("linux.cgroupsPath", "has a .. component or a newline")
    resources = config.cgroups.resources
    _memory(resources)
    _cpu(resources)
    if resources.pids_limit is not None and resources.pids_limit < -1:
        raise ConfigError("linux.resources.pids.limit", "less than -1, which is unlimited")


def _memory(resources: Resources) -> None:
    where = "linux.resources.memory"
    for name in ("limit", "reservation", "swap"):
        value = getattr(resources, f"memory_{name}")
        if value is not None and value < -1:
            raise ConfigError(f"{where}.{name}", "less than -1, which is unlimited")
    swappiness = resources.memory_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise ConfigError(f"{where}.swappiness", "not between 0 and 100")
    limit, swap = resources.memory_limit, resources.memory_swap
    if limit is not None and swap is not None and swap != -1 and (limit == -1 or swap < limit):
        raise ConfigError(f"{where}.swap", "below memory.limit; it counts memory and swap together")


def _cpu(resources: Resources) -> None:
    where = "linux.resources.cpu"
    if resources.cpu_idle not in (None, 0, 1):
        raise ConfigError(f"{where}.idle", "expected 0 or 1")
    quota, burst = resources.cpu_quota, resources.cpu_burst
    if quota is not None and burst is not None and 0 < quota < burst:
        raise ConfigError(f"{where}.burst", "above the quota")
    for name, text in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems)):
        if text is not None and not is_number_list(text):
            raise ConfigError(f"{where}.{name}", "expected numbers and ranges such as 0-2,7")


def is_number_list(text: str) -> bool:
    """Whether `text` is a list in the format of cpuset(7), such as ``0-2,7``; blanks and empty items are tolerated."""
    some = False
    for item in text.replace(" ", "").replace("\n", "").split(","):
        if not item:
            continue
        low, dash, high = item.partition("-")
        for number in (low, high) if dash else (low,):
            if not number.isascii() or not number.isdigit() or len(number) > 5 or int(number) > _HIGHEST_CPU:
                return False
        if dash and int(low) > int(high):
            return False
        some = True
    return some
