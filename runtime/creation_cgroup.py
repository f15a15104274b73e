"""Mounts of type `cgroup`: what a plan needs to know about the host's hierarchies, and whose the cgroup is then."""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.hierarchy import V2, detect
from seatrial.runtime.plan.environment import CgroupHierarchy, Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.config import Config, Mount

_MS_RDONLY = 1


def describe_cgroups(environment: Environment, cgroup: Cgroup) -> None:
    """Fill in the fields about cgroups."""
    hierarchy = detect()
    environment.cgroup_version = 2 if hierarchy.mode == V2 else 1
    environment.cgroup_path = cgroup.paths.get("", "")
    if hierarchy.v2 is not None:
        environment.cgroup_root = hierarchy.v2.mount_point
    environment.cgroup_hierarchies = [
        CgroupHierarchy(
            name=os.path.basename(mounted.mount_point),
            options=",".join(f"none,{name}" if name.startswith("name=") else name for name in mounted.controllers),
            path=cgroup.paths[mounted.controllers[0]],
        )
        for mounted in hierarchy.v1_mounts()
        if mounted.controllers and mounted.controllers[0] in cgroup.paths
    ]


def owner(config: Config) -> int | None:
    """The host uid that a v2 cgroup is given to; None: it stays the runtime's (config-linux.md#cgroup-ownership).

    It is that of the container's user, when a container with new user and cgroup namespaces can write to its cgroup.
    """
    if not (config.is_new("user") and config.is_new("cgroup") and any(map(_writable, config.mounts))):
        return None
    uid = config.process.uid if config.process is not None else 0
    for line in config.uid_mappings:
        if line.container_id <= uid < line.container_id + line.size:
            return line.host_id + uid - line.container_id
    return None


def _writable(mount: Mount) -> bool:
    return (
        mount.fstype in ("cgroup", "cgroup2")
        and mount.source == "cgroup"
        and os.path.normpath(mount.destination) == "/sys/fs/cgroup"
        and not mount.flags & _MS_RDONLY
    )
