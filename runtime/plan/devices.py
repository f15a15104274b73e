"""Device nodes and the symlinks of /dev: runtime-spec config-linux.md "Default Devices"."""

from __future__ import annotations

from seatrial.runtime.default_devices import DEFAULT_DEVICES
from seatrial.runtime.mount_options import MS_BIND
from seatrial.runtime.plan import operation as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Device
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation

_TYPES = {"c": 0o020000, "b": 0o060000, "p": 0o010000}  # S_IFCHR, S_IFBLK, S_IFIFO

# Where the host has the devices that every host has; others are looked for under their own name.
_HOST_PATHS = {numbers: path for path, numbers in DEFAULT_DEVICES.items()}


def has_own_dev(config: Config) -> bool:
    """False when /dev is a bind mount: then its content is the host's business."""
    return not any(mount.flags & MS_BIND and mount.destination == "/dev" for mount in config.mounts)


def make_devices(config: Config, environment: Environment) -> list[Operation]:
    """Devices in the config's order, then the symlinks."""
    if not has_own_dev(config):
        return []
    # mknod(2) needs CAP_MKNOD in the initial user namespace, except for a fifo.
    by_bind = config.private("user") or environment.in_user_namespace
    operations = [_device(device, by_bind) for device in config.devices if device.path != "/dev/ptmx"]
    operations.append(op.symlink("/proc/self/fd", "/dev/fd"))
    operations.append(op.symlink("/proc/self/fd/0", "/dev/stdin"))
    operations.append(op.symlink("/proc/self/fd/1", "/dev/stdout"))
    operations.append(op.symlink("/proc/self/fd/2", "/dev/stderr"))
    if environment.kcore:
        operations.append(op.symlink("/proc/kcore", "/dev/core"))
    # A node left in an image would open the host's devpts instance.
    operations.append(op.symlink("pts/ptmx", "/dev/ptmx", 1))
    return operations


def _device(device: Device, by_bind: bool) -> Operation:
    if by_bind and device.type != "p":
        source = device.path
        if device.type == "c":
            source = _HOST_PATHS.get((device.major, device.minor), source)
        return op.bind_device(source, device.path)
    number = 0 if device.type == "p" else makedev(device.major, device.minor)
    return op.mknod(device.path, _TYPES[device.type] | device.mode, number, device.uid, device.gid)


def makedev(major: int, minor: int) -> int:
    """The dev_t of makedev(3) in glibc's 64-bit layout."""
    return (major & 0xFFF) << 8 | (major & 0xFFFFF000) << 32 | minor & 0xFF | (minor & 0xFFFFFF00) << 12
