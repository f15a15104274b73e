"""Where a container's cgroup goes: linux.cgroupsPath -> directories.  config-linux.md#cgroups-path

absolute   <mount point of the hierarchy>/<path>
relative   v1 and hybrid: below the runtime's own cgroup of that hierarchy
           v2: beside the runtime's own cgroup, which has processes and so may not delegate controllers (cgroups(7),
           "no internal processes"); in the root cgroup: below it
unset      the container's id, as a relative path

The path is cleaned as if it began with "/", so ".." cannot climb out of the place.
"""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.hierarchy import V2, Hierarchy, Mounted
from seatrial.runtime.errors import ConfigError, SeatrialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.state import State

PATH = "linux.cgroupsPath"

# Join order: cpuset and devices first, because they are what can refuse a process; freezer late, so that a frozen
# parent stops the process when it is everywhere; named hierarchies and v2 last.
V1_ORDER = (
    "cpuset", "devices", "memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "perf_event",
    "rdma", "misc", "freezer",
)  # fmt: skip


def clean(path: str) -> str:
    """`path` without empty, "." and ".." components or leading "/"; ConfigError for what cannot be a cgroup."""
    if "\0" in path or "\n" in path:
        raise ConfigError(PATH, "NUL or newline in the path")
    cleaned = os.path.normpath("/" + path).lstrip("/")
    if not cleaned:
        raise ConfigError(PATH, f"{path!r} names no cgroup of the container's own")
    return cleaned


def _directory(mounted: Mounted, path: str, absolute: bool, beside: bool) -> str:
    if absolute:
        return f"{mounted.mount_point}/{path}"
    base = mounted.own_directory()
    if beside and base != mounted.mount_point:
        base = os.path.dirname(base)
    return f"{base}/{path}"


def paths_for(cgroups_path: str | None, container_id: str, hierarchy: Hierarchy) -> dict[str, str]:
    """Controller -> directory, in join order.  Touches nothing."""
    path = clean(cgroups_path or container_id)
    absolute = bool(cgroups_path) and cgroups_path[0] == "/"  # type: ignore[index]  # mypy does not follow bool()
    if hierarchy.mode == V2:
        assert hierarchy.v2 is not None
        return {"": _directory(hierarchy.v2, path, absolute, beside=True)}
    known = [name for name in V1_ORDER if name in hierarchy.v1]
    others = sorted(name for name in hierarchy.v1 if name not in V1_ORDER)
    paths = {name: _directory(hierarchy.v1[name], path, absolute, beside=False) for name in known + others}
    if hierarchy.v2 is not None:
        # Hybrid: limits are v1's business, but cgroup.kill (Linux 5.14) ends all processes of the container at once.
        paths[""] = _directory(hierarchy.v2, path, absolute, beside=False)
    return paths


def place(cgroups_path: str | None, container_id: str, hierarchy: Hierarchy, *, rootless: bool = False) -> Cgroup:
    """The cgroup of a new container; nothing is created yet.

    rootless: without a cgroupsPath, hierarchies that the user may not write to are left out silently by `create`.
    ConfigError for a path that names no cgroup; SeatrialError when the host has no cgroup hierarchy.
    """
    if not hierarchy.mode:
        raise SeatrialError("no cgroup hierarchy is mounted", "mount cgroup2 on /sys/fs/cgroup")
    return from_paths(paths_for(cgroups_path, container_id, hierarchy), tolerant=rootless and not cgroups_path)


def of_container(state: State, *, tolerant: bool = False) -> Cgroup:
    """The cgroup that state.json tells of: to make, limit or remove it.  To look into it, `from_paths` is enough."""
    if state.systemd_unit:
        from seatrial.runtime.cgroup.systemd import scope

        return scope(state.cgroup_paths, state.systemd_unit, state.systemd_user)
    return from_paths(state.cgroup_paths, tolerant=tolerant)


def from_paths(paths: dict[str, str], *, tolerant: bool = False) -> Cgroup:
    """The cgroup that state.json's `paths` describe."""
    if list(paths) == [""]:
        from seatrial.runtime.cgroup.v2 import CgroupV2

        return CgroupV2(dict(paths), tolerant)
    from seatrial.runtime.cgroup.v1 import CgroupV1

    return CgroupV1(dict(paths), tolerant)
