"""linux.resources, for `create` and for `update`."""

from __future__ import annotations

from seatrial.runtime.config import Config, DeviceRule, Resources
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.document import member
from seatrial.runtime.errors import ConfigError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PATH = "linux.resources"

# (block, member, field, whether 0 means "not set": engines write 0 for a limit that the user did not give, and the
# kernel would refuse it or kill the container at once)
_FIELDS = (
    ("memory", "limit", "memory_limit", True),
    ("memory", "reservation", "memory_reservation", True),
    ("memory", "swap", "memory_swap", True),
    ("memory", "swappiness", "memory_swappiness", False),
    ("memory", "disableOOMKiller", "memory_disable_oom_killer", False),
    ("memory", "useHierarchy", "memory_use_hierarchy", False),
    ("memory", "checkBeforeUpdate", "memory_check_before_update", False),
    ("cpu", "shares", "cpu_shares", True),
    ("cpu", "quota", "cpu_quota", True),
    ("cpu", "burst", "cpu_burst", False),
    ("cpu", "period", "cpu_period", True),
    ("cpu", "realtimeRuntime", "cpu_realtime_runtime", True),
    ("cpu", "realtimePeriod", "cpu_realtime_period", True),
    ("cpu", "cpus", "cpuset_cpus", True),
    ("cpu", "mems", "cpuset_mems", True),
    ("cpu", "idle", "cpu_idle", False),
    ("pids", "limit", "pids_limit", False),
)


def convert_resources(block: dict[str, Any], config: Config, listed_devices: set[str]) -> None:
    """Fill ``config.cgroups.resources`` from a checked resources block.

    `listed_devices` are the paths of linux.devices: a default device that it redefines gets no default rule.
    Raises ConfigError.
    """
    _refuse_unsupported(block)
    resources = Resources()
    for group, name, field, zero_is_unset in _FIELDS:
        if group in block:
            value = block[group].get(name)
            if value is not None and not (zero_is_unset and not value):
                setattr(resources, field, value)
    rules: list[DeviceRule] = []
    for index, entry in enumerate(block.get("devices", ())):
        rules += _device_rules(entry, f"{_PATH}.devices[{index}]")
    resources.devices = complete_rules(rules, listed_devices)
    for key, value in block.get("unified", {}).items():
        if "/" in key or "." not in key.strip("."):
            raise ConfigError(member(f"{_PATH}.unified", key), "not the name of a cgroup v2 file")
        resources.unified[key] = value
    config.cgroups.resources = resources


def _refuse_unsupported(block: dict[str, Any]) -> None:
    memory = block.get("memory", {})
    for name in ("kernel", "kernelTCP"):
        if memory.get(name):
            raise UnsupportedError(f"{_PATH}.memory.{name}", "kernels since 5.16 have no such limit")
    if memory.get("useHierarchy") is False:
        raise UnsupportedError(f"{_PATH}.memory.useHierarchy", "kernels since 5.11 always account for children")
    for name in ("weight", "leafWeight"):
        if block.get("blockIO", {}).get(name):
            raise UnsupportedError(f"{_PATH}.blockIO.{name}")
    for name in (
        "weightDevice",
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
        "throttleWriteIOPSDevice",
    ):
        if block.get("blockIO", {}).get(name):
            raise UnsupportedError(f"{_PATH}.blockIO.{name}")
    if block.get("hugepageLimits"):
        raise UnsupportedError(f"{_PATH}.hugepageLimits")
    for name in ("classID", "priorities"):
        if block.get("network", {}).get(name):
            raise UnsupportedError(f"{_PATH}.network.{name}")
    if block.get("rdma"):
        raise UnsupportedError(f"{_PATH}.rdma")


def _device_rules(entry: dict[str, Any], path: str) -> list[DeviceRule]:
    kind = entry.get("type", "a")
    if kind not in ("a", "b", "c"):
        raise ConfigError(f"{path}.type", "expected a, b or c")
    access = entry.get("access", "rwm")
    if not access or access.strip("rwm"):
        raise ConfigError(f"{path}.access", "expected letters of r, w and m")
    access = "".join(letter for letter in "rwm" if letter in access)
    numbers: list[int | None] = []
    for name in ("major", "minor"):
        number = entry.get(name, -1)
        if not -1 <= number <= 2**32 - 1:
            raise ConfigError(f"{path}.{name}", "not a device number")
        numbers.append(None if number == -1 else number)  # engines write -1 for "any"
    major, minor = numbers
    # On cgroup v1 a rule of type a is about every device and every access, whatever else it says.
    kinds = ("b", "c") if kind == "a" and (access != "rwm" or major is not None or minor is not None) else (kind,)
    return [DeviceRule(allow=entry["allow"], type=each, major=major, minor=minor, access=access) for each in kinds]
