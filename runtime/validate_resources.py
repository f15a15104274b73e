"""Rules for the cgroup's place and limits that hold on every host."""

from __future__ import annotations

from seatrial.runtime.config import Config, Resources
from seatrial.runtime.document import member, quote
from seatrial.runtime.errors import ConfigError

_HIGHEST_CPU = 65536
_WHITE = frozenset(" \t\n\v\f\r/\0")


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
    _block_io(resources)
    if resources.hugepage_limits:
        from seatrial.runtime.spec.schema import is_page_size

        for index, entry in enumerate(resources.hugepage_limits):
            # It becomes a part of a file's name: nothing that could lead to another file may be in it.
            if not is_page_size(entry.page_size):
                raise ConfigError(f"linux.resources.hugepageLimits[{index}].pageSize", "expected a size such as 2MB")
    for index, priority in enumerate(resources.net_priorities):
        if not priority.name or len(priority.name) > 15 or not _WHITE.isdisjoint(priority.name):
            where = f"linux.resources.network.priorities[{index}].name"
            raise ConfigError(where, f"{quote(priority.name)} is not the name of an interface")
    for device, limit in resources.rdma.items():
        if not device or not _WHITE.isdisjoint(device):
            raise ConfigError(member("linux.resources.rdma", device), "not the name of a device")
        if limit.hca_handles is None and limit.hca_objects is None:
            raise ConfigError(member("linux.resources.rdma", device), "needs hcaHandles or hcaObjects")


def _memory(resources: Resources) -> None:
    where = "linux.resources.memory"
    for name in ("limit", "reservation", "swap", "kernel", "kernel_tcp"):
        value = getattr(resources, f"memory_{name}")
        if value is not None and value < -1:
            raise ConfigError(f"{where}.{name.replace('_tcp', 'TCP')}", "less than -1, which is unlimited")
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


def _block_io(resources: Resources) -> None:
    where = "linux.resources.blockIO"
    _weight(f"{where}.weight", resources.blkio_weight)
    _weight(f"{where}.leafWeight", resources.blkio_leaf_weight)
    for index, device in enumerate(resources.blkio_weight_devices):
        entry = f"{where}.weightDevice[{index}]"
        _device(entry, device.major, device.minor)
        if device.weight is None and device.leaf_weight is None:
            raise ConfigError(entry, "needs weight or leafWeight")
        _weight(f"{entry}.weight", device.weight)
        _weight(f"{entry}.leafWeight", device.leaf_weight)
    for name, throttles in (
        ("throttleReadBpsDevice", resources.blkio_read_bps),
        ("throttleWriteBpsDevice", resources.blkio_write_bps),
        ("throttleReadIOPSDevice", resources.blkio_read_iops),
        ("throttleWriteIOPSDevice", resources.blkio_write_iops),
    ):
        for index, throttle in enumerate(throttles):
            _device(f"{where}.{name}[{index}]", throttle.major, throttle.minor)
            if throttle.rate < 0:
                raise ConfigError(f"{where}.{name}[{index}].rate", "less than 0")


def _weight(where: str, value: int | None) -> None:
    if value is not None and not 10 <= value <= 1000:
        raise ConfigError(where, "not between 10 and 1000")


def _device(where: str, major: int, minor: int) -> None:
    for name, number, highest in (("major", major, 0xFFF), ("minor", minor, 0xFFFFF)):  # dev_t: 12 and 20 bits
        if not 0 <= number <= highest:
            raise ConfigError(f"{where}.{name}", f"not between 0 and {highest}")


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
