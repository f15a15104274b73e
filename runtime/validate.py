"""What makes a `Config` impossible, whatever host it runs on, and the few facts of the host that are cheap to ask.

`load_config` calls it for a document, `Container.create` for a Config made by hand; the errors name the members
of the OCI document either way.
"""

from __future__ import annotations

import os

from seatrial.runtime import mount_options, sysctl
from seatrial.runtime.config import NAMESPACE_FLAGS, Config, IDMap, IntelRdt, Mount, MountIDMap
from seatrial.runtime.document import member, quote
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.validate_network import validate_network
from seatrial.runtime.validate_process import validate_process
from seatrial.runtime.validate_resources import validate_cgroups

_HOST_NAME_MAX = 64  # __NEW_UTS_LEN of the kernel
_MAPPING_LINES = 340  # user_namespaces(7), since Linux 4.15
_CLOCKS = ("monotonic", "boottime")
_HOOKS = (
    ("prestart", "prestart"),
    ("createRuntime", "create_runtime"),
    ("createContainer", "create_container"),
    ("startContainer", "start_container"),
    ("poststart", "poststart"),
    ("poststop", "poststop"),
)


def validate(config: Config) -> None:
    """Raise ConfigError for the first thing that is wrong; add to ``config.warnings`` what is only odd."""
    _root(config)
    _namespaces(config)
    _mappings(config)
    _time_offsets(config)
    _names(config)
    _mounts(config)
    if config.rootless_euid:
        from seatrial.runtime.validate_rootless import validate_rootless

        validate_rootless(config)
    _devices(config)
    _paths(config)
    if config.intel_rdt is not None:
        _intel_rdt(config.intel_rdt)
    for key in config.sysctl:
        sysctl.check(config, key, member("linux.sysctl", key))
    validate_network(config)
    validate_process(config)
    validate_cgroups(config)
    if config.seccomp is not None:
        from seatrial.runtime.validate_seccomp import validate_seccomp

        validate_seccomp(config.seccomp)
    for name, attribute in _HOOKS:
        for index, hook in enumerate(getattr(config.hooks, attribute)):
            _absolute(hook.path, f"hooks.{name}[{index}].path")
            if hook.timeout is not None and hook.timeout < 1:
                raise ConfigError(f"hooks.{name}[{index}].timeout", "less than 1 second")


def _absolute(path: str, where: str) -> None:
    if not path.startswith("/"):
        raise ConfigError(where, f"{quote(path)} is not an absolute path")


def _root(config: Config) -> None:
    _absolute(config.rootfs, "root.path")
    try:
        mode = os.stat(config.rootfs).st_mode
    except OSError as error:
        raise ConfigError("root.path", f"{config.rootfs}: {error.strerror}") from None
    if mode & 0o170000 != 0o040000:
        raise ConfigError("root.path", f"{config.rootfs}: not a directory")
    if config.namespace("mnt") is None:
        if config.readonlyfs:
            raise ConfigError("root.readonly", "needs a mount namespace: the mount would be changed on the host")
        if config.rootfs_propagation:
            raise ConfigError("linux.rootfsPropagation", "needs a mount namespace")


def _namespaces(config: Config) -> None:
    seen = set()
    for index, namespace in enumerate(config.namespaces):
        where = f"linux.namespaces[{index}]"
        if namespace.type not in NAMESPACE_FLAGS:
            raise ConfigError(f"{where}.type", f"expected one of {', '.join(NAMESPACE_FLAGS)}")
        if namespace.type in seen:
            raise ConfigError(where, f"a second {namespace.type} namespace")
        seen.add(namespace.type)
        if namespace.path is not None:
            _absolute(namespace.path, f"{where}.path")


def _mappings(config: Config) -> None:
    for mappings, where in (
        (config.uid_mappings, "linux.uidMappings"),
        (config.gid_mappings, "linux.gidMappings"),
    ):
        if not mappings:
            if config.is_new("user"):
                raise ConfigError(where, "missing; a new user namespace needs it")
            continue
        if config.namespace("user") is None:
            raise ConfigError(where, "needs a user namespace", "add one to linux.namespaces")
        _ranges(mappings, where)


def _ranges(mappings: list[IDMap], where: str) -> None:
    """What the kernel refuses in a uid_map or gid_map."""
    if len(mappings) > _MAPPING_LINES:
        raise ConfigError(where, f"more than {_MAPPING_LINES} entries")
    for field, name in (("container_id", "containerID"), ("host_id", "hostID")):
        ranges = []
        for index, mapping in enumerate(mappings):
            start = getattr(mapping, field)
            if mapping.size < 1:
                raise ConfigError(f"{where}[{index}].size", "less than 1")
            if start + mapping.size > 2**32 - 1:
                raise ConfigError(f"{where}[{index}].{name}", "the range ends above 4294967294")
            ranges.append((start, start + mapping.size, index))
        ranges.sort()
        for position in range(1, len(ranges)):
            before, after = ranges[position - 1], ranges[position]
            if after[0] < before[1]:
                raise ConfigError(f"{where}[{after[2]}].{name}", f"overlaps the range of {where}[{before[2]}]")


def _time_offsets(config: Config) -> None:
    for clock, offset in config.time_offsets.items():
        where = member("linux.timeOffsets", clock)
        if clock not in _CLOCKS:
            raise ConfigError(where, f"expected one of {', '.join(_CLOCKS)}: other clocks have no offset")
        if not 0 <= offset.nanosecs < 10**9:
            raise ConfigError(f"{where}.nanosecs", "not between 0 and 999999999")
    if config.time_offsets and not config.is_new("time"):
        raise ConfigError("linux.timeOffsets", "needs a new time namespace")


def _names(config: Config) -> None:
    for where, name in (("hostname", config.hostname), ("domainname", config.domainname)):
        if not name:
            continue
        if config.namespace("uts") is None:
            raise ConfigError(where, "needs a uts namespace: the host's name would be changed")
        if len(name.encode()) > _HOST_NAME_MAX:
            raise ConfigError(where, f"longer than {_HOST_NAME_MAX} bytes")


def _mounts(config: Config) -> None:
    if config.mounts and config.namespace("mnt") is None:
        config.warnings.append("mounts: without a mount namespace they are made on the host")
    for index, mount in enumerate(config.mounts):
        where = f"mounts[{index}]"
        _absolute(mount.destination, f"{where}.destination")
        if mount.flags & mount_options.MS_BIND:
            if mount.data:
                raise ConfigError(
                    f"{where}.options", f"a bind mount takes no filesystem options, found {quote(mount.data)}"
                )
            if not mount.flags & mount_options.MS_REMOUNT:
                _absolute(mount.source, f"{where}.source")
        if mount.idmap is not None:
            _idmap(mount, mount.idmap, where, config)
        if mount.copy_up and mount.fstype != "tmpfs":
            raise ConfigError(f"{where}.options", "tmpcopyup is for type tmpfs only")


def _idmap(mount: Mount, idmap: MountIDMap, where: str, config: Config) -> None:
    uids, gids = idmap.uid_mappings, idmap.gid_mappings
    for one, other, given, missing in (
        ("uidMappings", "gidMappings", uids, gids),
        ("gidMappings", "uidMappings", gids, uids),
    ):
        if given and not missing:
            raise ConfigError(f"{where}.{other}", f"missing; it is required with {one}")
        _ranges(given, f"{where}.{one}")
    member = f"{where}.uidMappings" if uids else f"{where}.options"
    if not mount.flags & mount_options.MS_BIND:
        raise ConfigError(member, "only a bind mount can be id-mapped", "is the option bind or rbind missing?")
    if mount.flags & mount_options.MS_REMOUNT:
        raise ConfigError(member, "a mount is id-mapped when it is made: not by remount")
    if not uids and config.namespace("user") is None:
        raise ConfigError(
            member, "idmap without uidMappings and gidMappings takes the container's, which has no user namespace"
        )
    if config.rootless_euid:
        raise ConfigError(member, "an id-mapped mount needs root: CAP_SYS_ADMIN where its filesystem was mounted")


def _devices(config: Config) -> None:
    for device in config.devices:
        if device.type not in ("c", "b", "p"):
            raise ConfigError("linux.devices", f"{device.path}: type {device.type}, expected c, b or p")
        _absolute(device.path, "linux.devices")


def _paths(config: Config) -> None:
    for where, paths in (("linux.maskedPaths", config.mask_paths), ("linux.readonlyPaths", config.readonly_paths)):
        if paths and config.namespace("mnt") is None:
            raise ConfigError(where, "needs a mount namespace: the paths would be covered on the host")
        for index, path in enumerate(paths):
            _absolute(path, f"{where}[{index}]")


def _intel_rdt(rdt: IntelRdt) -> None:
    where = "linux.intelRdt"
    name = rdt.clos_id
    if name in (".", "..") or (name != "/" and "/" in name) or "\n" in name:
        raise ConfigError(f"{where}.closID", f'{quote(name)} is no name of a directory, nor "/" for the root class')
    if rdt.mem_bw_schema and not rdt.mem_bw_schema.startswith("MB:"):
        raise ConfigError(f"{where}.memBwSchema", f"{quote(rdt.mem_bw_schema)} does not start with MB:")
    lines = [(f"{where}.memBwSchema", rdt.mem_bw_schema)]
    lines += [(f"{where}.schemata[{index}]", line) for index, line in enumerate(rdt.schemata)]
    for path, line in lines:
        if "\n" in line:
            raise ConfigError(path, f"more than one line in {quote(line)}")
