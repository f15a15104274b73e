"""Mounts of type `cgroup`: what they become depends on the host's hierarchies.  cgroups(7), cgroup_namespaces(7)."""

from __future__ import annotations

from seatrial.runtime.mount_options import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from seatrial.runtime.plan import operation as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Mount
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation

_NOSUID_NODEV_NOEXEC = MS_NOSUID | MS_NODEV | MS_NOEXEC


def cgroup_mount(mount: Mount, config: Config, environment: Environment) -> list[Operation]:
    """The operations for one mount of type `cgroup` (or `cgroup2`)."""
    if environment.cgroup_version == 2 or mount.fstype == "cgroup2":
        return _unified(mount, config, environment)
    return _hierarchies(mount, config, environment)


def _unified(mount: Mount, config: Config, environment: Environment) -> list[Operation]:
    target = mount.destination
    if config.is_new("cgroup") or not config.private("user"):
        return [op.mount(mount.source or "cgroup", target, "cgroup2", mount.flags, mount.data)]
    # The kernel refuses a cgroup2 mount in a user namespace that does not own the cgroup namespace.
    return [
        op.bind(environment.cgroup_root, target, 1),
        op.remount(target, mount.flags, mount.cleared_flags),
    ]


def _hierarchies(mount: Mount, config: Config, environment: Environment) -> list[Operation]:
    """A tmpfs with a directory for each hierarchy, and a symlink for each controller of a joint one."""
    target = mount.destination
    operations = [op.mount("tmpfs", target, "tmpfs", mount.flags & ~MS_RDONLY | _NOSUID_NODEV_NOEXEC, "mode=755")]
    own_namespace = config.is_new("cgroup")
    read_only = mount.flags & MS_RDONLY
    links: list[Operation] = []
    for hierarchy in environment.cgroup_hierarchies:
        path = f"{target}/{hierarchy.name}"
        if own_namespace:
            flags = read_only | _NOSUID_NODEV_NOEXEC
            operations.append(op.mount("cgroup", path, "cgroup", flags, hierarchy.options))
        else:
            # Without a cgroup namespace a cgroup mount would show the whole hierarchy.
            operations.append(op.bind(hierarchy.path, path))
            operations.append(op.remount(path, mount.flags | _NOSUID_NODEV_NOEXEC, mount.cleared_flags))
        if "," in hierarchy.name:
            links += [op.symlink(hierarchy.name, f"{target}/{name}") for name in hierarchy.name.split(",")]
    operations += links
    if read_only:
        operations.append(op.remount(target, mount.flags | _NOSUID_NODEV_NOEXEC))
    return operations
