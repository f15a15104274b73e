"""The root and its mounts: mount(2), mount_setattr(2), mount_namespaces(7), runtime-spec config.md "Mounts"."""

from __future__ import annotations

from seatrial.runtime.idmap import map_text
from seatrial.runtime.mount_options import (
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.cgroup_mount import cgroup_mount
from seatrial.runtime.plan.labels import labelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Mount
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation

# `mode` of the mount operation.
_REAL_DIRECTORY = 1


def prepare_root(config: Config) -> list[Operation]:
    """Cut the new mount namespace loose from the host's and open the rootfs."""
    if not config.private("mnt"):
        return [op.open_root(config.rootfs, 0)]
    wanted = config.rootfs_propagation
    operations = []
    if wanted & MS_SHARED:
        operations.append(op.propagation("/", wanted))
    elif wanted & (MS_PRIVATE | MS_UNBINDABLE):
        # An unbindable "/" could not be the source of a bind mount: the root becomes unbindable at the end.
        operations.append(op.propagation("/", MS_PRIVATE | MS_REC))
    else:
        # Always recursive: any submount that stays shared would carry the container's mounts to the host.
        operations.append(op.propagation("/", MS_SLAVE | MS_REC))
    if not wanted & MS_SLAVE:
        # pivot_root refuses a shared parent, and the mount on the rootfs must not reach the host.  Where "slave" is
        # asked for nothing is shared any more, and a private parent would give a private root.
        operations.append(op.parent_private(config.rootfs))
    operations.append(op.open_root(config.rootfs, 1))
    return operations


def make_mounts(config: Config, environment: Environment) -> list[Operation]:
    """The mounts in the config's order, writable where `read_only_later` comes back to them."""
    operations: list[Operation] = []
    for mount in config.mounts:
        operations += labelled(_mount(mount, config, environment), config.mount_label)
        target = mount.destination
        operations += [op.propagate(target, flags) for flags in mount.propagation_flags]
        if (mount.rec_attr_set or mount.rec_attr_clr) and not _attributes_wait(mount):
            operations.append(op.mount_attr(target, mount.rec_attr_set, mount.rec_attr_clr))
    return operations


def _mount(mount: Mount, config: Config, environment: Environment) -> list[Operation]:
    flags, target = mount.flags, mount.destination
    if flags & MS_BIND:
        operations = [_bind(mount)]
        asked = flags & ~(MS_BIND | MS_REC | MS_REMOUNT)
        if asked or mount.cleared_flags:
            # mount(2) ignores other flags with MS_BIND: they take a second step.
            operations.append(op.remount(target, asked, mount.cleared_flags))
        return operations
    if flags & MS_REMOUNT:
        return [op.remount(target, flags & ~MS_REMOUNT, mount.cleared_flags, mount.data, 0)]
    if mount.fstype in ("cgroup", "cgroup2"):
        return cgroup_mount(mount, config, environment)
    if _waits(mount):
        flags &= ~MS_RDONLY
    if mount.copy_up:
        return [op.copy_up(target, flags, mount.data)]
    mode = _REAL_DIRECTORY if mount.fstype in ("proc", "sysfs") else 0
    # An empty source would leave an empty field in /proc/PID/mountinfo, which many readers cannot parse.
    return [op.mount(mount.source or mount.fstype, target, mount.fstype, flags, mount.data, mode)]


def _bind(mount: Mount) -> Operation:
    recursive = 1 if mount.flags & MS_REC else 0
    idmap = mount.idmap
    if idmap is None:
        return op.bind(mount.source, mount.destination, recursive)
    uids, gids = map_text(idmap.uid_mappings).decode(), map_text(idmap.gid_mappings).decode()
    return op.bind_mapped(mount.source, mount.destination, recursive, uids, gids, 1 if idmap.recursive else 0)


def _stays_writable(mount: Mount) -> bool:
    """Whether the runtime itself still has to write there: devices, mount points, copied content."""
    return not mount.flags & (MS_BIND | MS_REMOUNT) and (mount.fstype == "tmpfs" or mount.destination == "/dev")


def _waits(mount: Mount) -> bool:
    return bool(mount.flags & MS_RDONLY) and _stays_writable(mount)


def _attributes_wait(mount: Mount) -> bool:
    return bool(mount.rec_attr_set & MOUNT_ATTR_RDONLY) and _stays_writable(mount)


def change_root(config: Config) -> list[Operation]:
    if not config.private("mnt"):
        return [op.chroot()]
    return [op.move_root() if config.no_pivot_root else op.pivot_root()]


def read_only_later(config: Config) -> list[Operation]:
    """What became read-only only now that nothing more is created, and the root itself."""
    operations = []
    for mount in config.mounts:
        if _waits(mount):
            operations.append(op.remount(mount.destination, mount.flags, mount.cleared_flags))
        if _attributes_wait(mount):
            operations.append(op.mount_attr(mount.destination, mount.rec_attr_set, mount.rec_attr_clr))
    if config.readonlyfs:
        operations.append(op.remount("/", MS_RDONLY))
    return operations


def hide_paths(config: Config) -> list[Operation]:
    """Read-only paths, then masks: a mask below a read-only path must stay on top."""
    operations = [op.readonly(path) for path in dict.fromkeys(config.readonly_paths)]
    if config.mount_label and config.mask_paths:
        operations.append(op.mask_label(config.mount_label))
    operations += [op.mask(path) for path in dict.fromkeys(config.mask_paths)]
    if config.rootfs_propagation & (MS_SHARED | MS_UNBINDABLE) and config.private("mnt"):
        # After the last bind mount from the root: an unbindable one refuses, and a shared one would spread them.
        operations.append(op.propagate("/", config.rootfs_propagation))
    return operations
