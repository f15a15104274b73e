"""The default config.json: what an engine would send, with every part present, so that a case changes one thing."""

from __future__ import annotations

import json
import os
from typing import Any

NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
CAPABILITY_SETS = ("bounding", "effective", "permitted")

_CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/probe", "report"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"] for name in CAPABILITY_SETS},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "seatrial",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
        },
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": name} for name in NAMESPACES],
        "maskedPaths": [
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}
_TEXT = json.dumps(_CONFIG)  # to be read is many times as fast as copy.deepcopy


def config(cgroups_path: str) -> dict[str, Any]:
    """A fresh copy of the default config.json with `linux.cgroupsPath` set; an ordinary user gets `rootless`'s."""
    if os.geteuid() != 0:
        from seatrial.conformance.airlock import ids

        return rootless(document(), *ids.mappings())
    made = document()
    made["linux"]["cgroupsPath"] = cgroups_path
    return made


def document() -> dict[str, Any]:
    """A fresh copy of the default config.json, which names no cgroup."""
    made: dict[str, Any] = json.loads(_TEXT)
    return made


def rootless(
    document: dict[str, Any], uids: list[dict[str, int]], gids: list[dict[str, int]] | None = None
) -> dict[str, Any]:
    """The default changed for an ordinary user, as engines do it: in a user namespace with these mappings (`gids`: the
    same), without limits and a place for its cgroup, with the host's /sys, and with no option that names an id
    (docs/rootless.md)."""
    linux = document["linux"]
    del linux["resources"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = uids
    linux["gidMappings"] = [dict(entry) for entry in uids] if gids is None else gids
    for mount in document["mounts"]:
        if mount["destination"] == "/dev/pts":
            mount["options"].remove("gid=5")
        elif mount["destination"] == "/sys":
            mount.update(type="none", source="/sys", options=["rbind", "nosuid", "noexec", "nodev", "ro"])
    return document
