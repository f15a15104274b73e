"""What a plan with a mount of type `cgroup` needs to know about the host's hierarchies."""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.hierarchy import V2, detect
from seatrial.runtime.plan.environment import CgroupHierarchy, Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup


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
