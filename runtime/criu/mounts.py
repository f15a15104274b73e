"""Which mounts of a container CRIU cannot make by itself, and from where they come on restore.

CRIU re-creates file systems of its own accord: proc, sysfs, tmpfs with its content, mqueue, devpts, a cgroup mount in a
cgroup namespace, and whatever is bound from one of these or from the rootfs.  A bind mount from the host is *external*:
on dump it gets a key, ``mnt[MOUNT POINT]:KEY``, and on restore the key gets a path of the host, ``mnt[KEY]:SOURCE``.

The keys here are the destinations of config.json (as with libcontainer), and the sources those of the config.json
that is restored with, so that an image never names a path of the host.
"""

from __future__ import annotations

import os

from seatrial.runtime.errors import ConfigError
from seatrial.runtime.mount_options import MS_BIND, MS_REC, MS_REMOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.runtime.config import Config, Mount
    from seatrial.runtime.plan.environment import Environment

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


class MountEntry:
    """A line of mountinfo: proc_pid_mountinfo(5)."""

    __slots__ = ("device", "fstype", "id", "parent", "path", "root")

    def __init__(self, line: str) -> None:
        """Raises ValueError, IndexError for what is no such line."""
        fields = line.split(" ")
        self.id = int(fields[0])
        self.parent = int(fields[1])
        self.device = fields[2]  # st_dev, as major:minor
        self.root = _unescaped(fields[3])  # what of the file system is mounted
        self.path = _unescaped(fields[4])  # where, from the root of the process
        self.fstype = fields[fields.index("-", 6) + 1]


def parse_mountinfo(text: str) -> list[MountEntry]:
    """The mounts of a process, in the kernel's order: a mount comes after the one that it is on."""
    return [MountEntry(line) for line in text.splitlines() if line]


def _unescaped(text: str) -> str:
    for code, letter in _ESCAPES:
        if code in text:
            text = text.replace(code, letter)
    return text


def external_mounts(
    entries: list[MountEntry], config: Config, mount_id: Callable[[str], int | None]
) -> list[tuple[str, str]]:
    """(mount point, key) of every external mount of a container, in mountinfo's order.

    `mount_id` tells which mount a path of the container lies on, None for a path that is not there.  What a container
    has mounted by itself is CRIU's affair.
    """
    by_id = {entry.id: entry for entry in entries}
    roots = {entry.id for entry in entries if entry.path == "/"}
    mounts: dict[int, Mount | None] = {}  # entries that the runtime made
    for mount in config.mounts:
        entry = by_id.get(_id_of(mount.destination, mount_id))
        if entry is not None and entry.id not in roots and not (_is_remount(mount) or entry.id in mounts):
            mounts[entry.id] = mount
    own = {by_id[id].device for id in roots} | {
        by_id[id].device for id, mount in mounts.items() if mount is not None and not mount.flags & MS_BIND
    }
    keys = {
        id: key_of(mount.destination) for id, mount in mounts.items() if mount is not None and mount.flags & MS_BIND
    }
    recursive = {id for id, mount in mounts.items() if id in keys and mount is not None and mount.flags & MS_REC}
    # Devices that could not be made, and the null device over masked files, where it is not the container's own.
    hidden = [*config.mask_paths, *config.readonly_paths, *(device.path for device in config.devices)]
    for path in hidden:
        entry = by_id.get(_id_of(path, mount_id))
        if entry is None or entry.id in mounts or entry.path != os.path.normpath(path):
            continue
        mounts[entry.id] = None
        if path not in config.readonly_paths and entry.root != "/" and entry.device not in own:
            keys[entry.id] = key_of(path)
    places = [os.path.normpath(mount.destination) for mount in config.mounts if _binds_cgroups(mount, config)]
    for entry in entries:
        if entry.id in keys:
            continue
        if entry.fstype in ("cgroup", "cgroup2") and any(is_below(entry.path, place) for place in places):
            if entry.fstype == "cgroup2" and entry.path in places and not config.private("user"):
                continue  # the unified hierarchy is a mount, which CRIU makes, where the kernel allows it
            keys[entry.id] = entry.path
        elif entry.id not in mounts and entry.parent in recursive:
            # A mount below the source of a recursive bind mount.
            keys[entry.id] = keys[entry.parent] + entry.path[len(by_id[entry.parent].path) :]
            recursive.add(entry.id)
    return [(entry.path, keys[entry.id]) for entry in entries if entry.id in keys]


def key_of(destination: str) -> str:
    """The key of a mount: its destination, cleaned."""
    return os.path.normpath("/" + destination.lstrip("/"))


def is_below(path: str, place: str) -> bool:
    """Whether a path is a place or below it."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def _id_of(path: str, mount_id: Callable[[str], int | None]) -> int:
    found = mount_id(path)
    return -1 if found is None else found


def _is_remount(mount: Mount) -> bool:
    return bool(mount.flags & MS_REMOUNT) and not mount.flags & MS_BIND


def _binds_cgroups(mount: Mount, config: Config) -> bool:
    """Whether a mount of type cgroup may be made of bind mounts: see `plan.cgroup_mount`."""
    return mount.fstype in ("cgroup", "cgroup2") and not config.is_new("cgroup")


def sources(keys: Iterable[str], config: Config, cgroups: dict[str, str]) -> dict[str, str]:
    """Where each external mount of an image comes from, by the config.json that it is restored with.

    `cgroups`: mount point -> directory of the new container, for hierarchies that are bind mounts.
    Raises ConfigError for a mount that this config does not have.
    """
    binds = {key_of(mount.destination): mount for mount in config.mounts if mount.flags & MS_BIND}
    devices = {os.path.normpath(device.path) for device in config.devices}
    masks = {os.path.normpath(path) for path in config.mask_paths}
    found: dict[str, str] = {}
    for key in keys:
        if key in binds:
            found[key] = binds[key].source
        elif key in masks:
            found[key] = "/dev/null"
        elif key in devices:
            found[key] = key
        elif key in cgroups:
            found[key] = cgroups[key]
        else:
            above = [place for place, bind in binds.items() if bind.flags & MS_REC and is_below(key, place)]
            if not above:
                raise ConfigError("mounts", f"the image has a bind mount on {key}, config.json has none")
            place = max(above, key=len)
            found[key] = binds[place].source.rstrip("/") + key[len(place.rstrip("/")) :]
    return found


def usual_keys(config: Config) -> list[str]:
    """The keys that an image may have which does not tell: libcontainer's, and ours for masks."""
    keys = [key_of(mount.destination) for mount in config.mounts if mount.flags & MS_BIND]
    others = [*config.mask_paths, *(device.path for device in config.devices)]
    return list(dict.fromkeys([*keys, *(os.path.normpath(path) for path in others)]))


def cgroup_binds(config: Config, environment: Environment) -> dict[str, str]:
    """Mount point -> directory, for mounts of type cgroup that are bind mounts.

    `environment`: with the fields that `creation_cgroup.describe_cgroups` fills in.
    """
    found: dict[str, str] = {}
    for mount in config.mounts:
        if not _binds_cgroups(mount, config):
            continue
        place = os.path.normpath(mount.destination)
        if environment.cgroup_version == 2 or mount.fstype == "cgroup2":
            found[place] = environment.cgroup_root
        else:
            found |= {f"{place}/{hierarchy.name}": hierarchy.path for hierarchy in environment.cgroup_hierarchies}
    return found
