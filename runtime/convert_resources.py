"""linux.resources, for `create` and for `update`."""

from __future__ import annotations

from seatrial.runtime.config import (
    Config,
    DeviceRule,
    HugepageLimit,
    InterfacePriority,
    RdmaLimit,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.document import member
from seatrial.runtime.errors import ConfigError

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
    ("memory", "kernel", "memory_kernel", True),
    ("memory", "kernelTCP", "memory_kernel_tcp", True),
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
    ("blockIO", "weight", "blkio_weight", True),
    ("blockIO", "leafWeight", "blkio_leaf_weight", True),
    ("network", "classID", "net_class_id", True),
)

_THROTTLES = (
    ("throttleReadBpsDevice", "blkio_read_bps"),
    ("throttleWriteBpsDevice", "blkio_write_bps"),
    ("throttleReadIOPSDevice", "blkio_read_iops"),
    ("throttleWriteIOPSDevice", "blkio_write_iops"),
)


def convert_resources(block: dict[str, Any], config: Config, listed_devices: set[str]) -> None:
    """Fill ``config.cgroups.resources`` from a checked resources block.

    `listed_devices` are the paths of linux.devices: a default device that it redefines gets no default rule.
    Raises ConfigError.
    """
    resources = limits(block)
    rules: list[DeviceRule] = []
    for index, entry in enumerate(block.get("devices", ())):
        rules += _device_rules(entry, f"{_PATH}.devices[{index}]")
    resources.devices = complete_rules(rules, listed_devices)
    config.cgroups.resources = resources


def limits(block: dict[str, Any]) -> Resources:
    """A checked resources block without its devices.  Raises ConfigError."""
    resources = Resources()
    for group, name, field, zero_is_unset in _FIELDS:
        if group in block:
            value = block[group].get(name)
            if value is not None and not (zero_is_unset and not value):
                setattr(resources, field, value)
    if "blockIO" in block:
        _block_io(block["blockIO"], resources)
    if "hugepageLimits" in block:
        resources.hugepage_limits = [
            HugepageLimit(page_size=entry["pageSize"], limit=entry["limit"]) for entry in block["hugepageLimits"]
        ]
    for entry in block.get("network", {}).get("priorities", ()):
        resources.net_priorities.append(InterfacePriority(name=entry["name"], priority=entry["priority"]))
    for device, entry in block.get("rdma", {}).items():
        resources.rdma[device] = RdmaLimit(hca_handles=entry.get("hcaHandles"), hca_objects=entry.get("hcaObjects"))
    for key, value in block.get("unified", {}).items():
        if "/" in key or "." not in key.strip("."):
            raise ConfigError(member(f"{_PATH}.unified", key), "not the name of a cgroup v2 file")
        resources.unified[key] = value
    return resources


def _block_io(block: dict[str, Any], resources: Resources) -> None:
    for entry in block.get("weightDevice", ()):
        resources.blkio_weight_devices.append(
            WeightDevice(
                major=entry["major"],
                minor=entry["minor"],
                weight=entry.get("weight") or None,
                leaf_weight=entry.get("leafWeight") or None,
            )
        )
    for name, field in _THROTTLES:
        entries = block.get(name, ())
        setattr(
            resources,
            field,
            [ThrottleDevice(major=entry["major"], minor=entry["minor"], rate=entry["rate"]) for entry in entries],
        )


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
