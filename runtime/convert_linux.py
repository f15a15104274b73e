"""The linux block of the OCI document, without linux.resources."""

from __future__ import annotations

from seatrial.runtime import mount_options
from seatrial.runtime.config import (
    Config,
    Device,
    IDMap,
    IntelRdt,
    MemoryPolicy,
    Namespace,
    NetDevice,
    TimeOffset,
)
from seatrial.runtime.default_devices import with_defaults
from seatrial.runtime.document import member
from seatrial.runtime.errors import ConfigError, UnsupportedError
from seatrial.runtime.spec import names
from seatrial.runtime.sysctl import is_key, normal_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_HIGHEST_MAJOR = 0xFFF  # the kernel's dev_t: 12 + 20 bits
_HIGHEST_MINOR = 0xFFFFF


def convert_linux(block: dict[str, Any], config: Config) -> None:
    """Fill the members of `config` that come from a checked linux block.  Raises ConfigError."""
    config.namespaces = [_namespace(entry, index) for index, entry in enumerate(block.get("namespaces", ()))]
    config.uid_mappings = mappings(block.get("uidMappings", ()))
    config.gid_mappings = mappings(block.get("gidMappings", ()))
    config.time_offsets = {
        clock: TimeOffset(secs=entry.get("secs", 0), nanosecs=entry.get("nanosecs", 0))
        for clock, entry in block.get("timeOffsets", {}).items()
    }
    listed = [_device(entry, f"linux.devices[{index}]") for index, entry in enumerate(block.get("devices", ()))]
    # /dev/ptmx belongs to the container's own devpts (config-linux.md#default-devices); engines list the host's.
    config.devices = with_defaults([device for device in listed if device.path != "/dev/ptmx"])
    config.mount_label = block.get("mountLabel", "")
    config.mask_paths = block.get("maskedPaths", [])
    config.readonly_paths = block.get("readonlyPaths", [])
    if "rootfsPropagation" in block:
        config.rootfs_propagation = mount_options.PROPAGATION[block["rootfsPropagation"]]
    for key, value in block.get("sysctl", {}).items():
        normal = normal_key(key)
        if not is_key(normal):
            raise ConfigError(member("linux.sysctl", key), "not the name of a kernel parameter")
        if normal in config.sysctl:
            raise ConfigError("linux.sysctl", f"{normal} is given twice, with dots and with slashes")
        config.sysctl[normal] = value
    if "personality" in block:
        config.personality = _personality(block["personality"])
    config.net_devices = {
        name: NetDevice(name=entry.get("name", "")) for name, entry in block.get("netDevices", {}).items()
    }
    if "memoryPolicy" in block:
        entry = block["memoryPolicy"]
        flags = 0
        for name in entry.get("flags", ()):
            flags |= names.MEMORY_POLICY_FLAGS[name]
        mode = names.MEMORY_POLICY_MODES[entry["mode"]]
        config.memory_policy = MemoryPolicy(mode=mode, flags=flags, nodes=entry.get("nodes", ""))
    if "intelRdt" in block:
        rdt = block["intelRdt"]
        config.intel_rdt = IntelRdt(
            clos_id=rdt.get("closID", ""),
            schemata=rdt.get("schemata", []),
            l3_cache_schema=rdt.get("l3CacheSchema", ""),
            mem_bw_schema=rdt.get("memBwSchema", ""),
            enable_monitoring=rdt.get("enableMonitoring", False),
        )
    config.cgroups.path = block.get("cgroupsPath") or None
    if "resources" in block:
        from seatrial.runtime.convert_resources import convert_resources

        convert_resources(block["resources"], config, {device.path for device in listed})
    if "seccomp" in block:
        from seatrial.runtime.convert_seccomp import convert_seccomp

        config.seccomp = convert_seccomp(block["seccomp"], config.bundle)


def _namespace(entry: dict[str, Any], index: int) -> Namespace:
    path = entry.get("path")
    if path is not None and not path.startswith("/"):
        raise ConfigError(f"linux.namespaces[{index}].path", "not an absolute path")
    return Namespace(type=names.NAMESPACES[entry["type"]], path=path)


def mappings(entries: Sequence[dict[str, int]]) -> list[IDMap]:
    """The lines of a checked array of id mappings."""
    return [
        IDMap(container_id=entry["containerID"], host_id=entry["hostID"], size=entry["size"]) for entry in entries
    ]


def _device(entry: dict[str, Any], path: str) -> Device:
    kind = "c" if entry["type"] == "u" else entry["type"]
    if kind != "p":
        for name, highest in (("major", _HIGHEST_MAJOR), ("minor", _HIGHEST_MINOR)):
            if name not in entry:
                raise ConfigError(f"{path}.{name}", "missing; it is required unless type is p")
            if not 0 <= entry[name] <= highest:
                raise ConfigError(f"{path}.{name}", f"not between 0 and {highest}")
    if not entry["path"].startswith("/"):
        raise ConfigError(f"{path}.path", "not an absolute path")
    return Device(
        path=entry["path"],
        type=kind,
        major=0 if kind == "p" else entry["major"],
        minor=0 if kind == "p" else entry["minor"],
        mode=entry.get("fileMode", 0o666) & 0o777,
        uid=entry.get("uid", 0),
        gid=entry.get("gid", 0),
    )


def _personality(block: dict[str, Any]) -> int:
    if block.get("flags"):
        raise UnsupportedError("linux.personality.flags[0]", "the runtime-spec defines no personality flag")
    return names.PERSONALITIES[block["domain"]]
