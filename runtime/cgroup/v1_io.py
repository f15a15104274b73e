"""linux.resources.blockIO on cgroup v1.  Documentation: cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst

Weights are an I/O scheduler's business: BFQ's files are ``blkio.bfq.weight`` and ``blkio.bfq.weight_device`` (since
Linux 5.4), those of CFQ (before 5.0) had no ``bfq`` in the name, and leaf weights besides.
"""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.files import read_or

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v1 import CgroupV1
    from seatrial.runtime.config import Resources

_NO_SCHEDULER = "no I/O scheduler of this kernel has it; weights need BFQ"


def apply_io(cgroup: CgroupV1, resources: Resources) -> None:
    """Write the members that are given.  SeatrialError where the host lacks the controller, SyscallError."""
    directory = cgroup.directory("blkio")
    weight = "blkio.bfq.weight" if os.path.exists(f"{directory}/blkio.bfq.weight") else "blkio.weight"
    if resources.blkio_weight is not None:
        cgroup.put(directory, weight, resources.blkio_weight, _hint(directory, weight))
    if resources.blkio_leaf_weight is not None:
        cgroup.put(directory, "blkio.leaf_weight", resources.blkio_leaf_weight, _hint(directory, "blkio.leaf_weight"))
    for device in resources.blkio_weight_devices:
        for name, value in ((f"{weight}_device", device.weight), ("blkio.leaf_weight_device", device.leaf_weight)):
            if value is not None:
                number = f"{device.major}:{device.minor}"
                _put_device(cgroup, directory, name, number, value, "default", _hint(directory, name))
    for name, throttles in (
        ("blkio.throttle.read_bps_device", resources.blkio_read_bps),
        ("blkio.throttle.write_bps_device", resources.blkio_write_bps),
        ("blkio.throttle.read_iops_device", resources.blkio_read_iops),
        ("blkio.throttle.write_iops_device", resources.blkio_write_iops),
    ):
        for throttle in throttles:
            _put_device(cgroup, directory, name, f"{throttle.major}:{throttle.minor}", throttle.rate, "0")


def _hint(directory: str, name: str) -> str:
    return "" if os.path.exists(f"{directory}/{name}") else _NO_SCHEDULER


def _put_device(
    cgroup: CgroupV1, directory: str, name: str, device: str, value: int, none: str, hint: str = ""
) -> None:
    """One device a write; `none` stands for "nothing of its own"."""
    back = [f"{device} {none}"]
    if cgroup.undo is not None:
        back = [line for line in read_or(directory, name, "").splitlines() if line.split()[0] == device] or back
    cgroup.put(directory, name, f"{device} {value}", hint, back)
