"""linux.resources.blockIO on cgroup v2.  Documentation/admin-guide/cgroup-v2.rst#io, block/bfq-iosched.rst

Weights: BFQ's ``io.bfq.weight`` (1 to 1000) takes the spec's numbers (10 to 1000) as they are; ``io.weight`` of the
cost model (1 to 10000, default 100) takes them stretched.  Which of the two decides is up to the scheduler of each
disk, so both are written where both exist.
"""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.files import read_or

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v2 import CgroupV2
    from seatrial.runtime.config import Resources

NO_THROTTLE = "rbps=max wbps=max riops=max wiops=max"


def io_weight(weight: int) -> int:
    """io.weight (1 to 10000) from blockIO.weight (10 to 1000): a straight line through the ends."""
    return 1 + (weight - 10) * 9999 // 990


def apply_io(cgroup: CgroupV2, resources: Resources) -> None:
    """Write the members that are given.  SyscallError, naming io.weight where this kernel has no weights at all."""
    if resources.blkio_weight is not None:
        for name, value in _weights(cgroup, resources.blkio_weight):
            _put_keyed(cgroup, name, "default", str(value), "100")
    for device in resources.blkio_weight_devices:
        if device.weight is not None:
            for name, value in _weights(cgroup, device.weight):
                _put_keyed(cgroup, name, f"{device.major}:{device.minor}", str(value), "default")
    for number, text in throttles(resources).items():
        _put_keyed(cgroup, "io.max", number, text, NO_THROTTLE)


def throttles(resources: Resources) -> dict[str, str]:
    """Device -> the words for io.max: the four kinds of limits of one device go into one line.  A rate of 0: none."""
    lines: dict[str, str] = {}
    for key, entries in (
        ("rbps", resources.blkio_read_bps),
        ("wbps", resources.blkio_write_bps),
        ("riops", resources.blkio_read_iops),
        ("wiops", resources.blkio_write_iops),
    ):
        for entry in entries:
            number = f"{entry.major}:{entry.minor}"
            word = f"{key}={entry.rate or 'max'}"
            lines[number] = f"{lines[number]} {word}" if number in lines else word
    return lines


def _weights(cgroup: CgroupV2, weight: int) -> list[tuple[str, int]]:
    """(file, value) for the weight files that this kernel has."""
    found = [("io.bfq.weight", weight), ("io.weight", io_weight(weight))]
    return [(name, value) for name, value in found if os.path.exists(f"{cgroup.path}/{name}")] or found[1:]


def _put_keyed(cgroup: CgroupV2, name: str, key: str, text: str, none: str) -> None:
    """Write a line that starts with a device's number (or "default"); `none` is what a line that is not there means."""
    back = [f"{key} {none}"]
    if cgroup.undo is not None:
        back = [line for line in read_or(cgroup.path, name, "").splitlines() if line.split()[0] == key] or back
    cgroup.limit(name, f"{key} {text}", back)
