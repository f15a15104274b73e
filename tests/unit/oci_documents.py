"""OCI documents for the unit tests: a plain one, and one that sets every member of the schema."""

from __future__ import annotations

import json
from typing import Any

MAPPINGS = [{"containerID": 0, "hostID": 1000, "size": 10}]
HOOK = {"path": "/bin/hook", "args": ["hook", "x"], "env": ["A=1"], "timeout": 5}
THROTTLE = [{"major": 8, "minor": 0, "rate": 1000}]


def plain() -> dict[str, Any]:
    """A document that loads; namespaces pid, mount, uts, ipc, network, cgroup."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": name} for name in ("pid", "mount", "uts", "ipc", "network", "cgroup")]},
    }


FULL: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "h",
    "domainname": "d",
    "annotations": {"org.example.key": "value"},
    "mounts": [
        {
            "destination": "/x",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid"],
            "uidMappings": MAPPINGS,
            "gidMappings": MAPPINGS,
        }
    ],
    "hooks": {
        name: [HOOK]
        for name in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    },
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]},
        "args": ["sh", "-c", "true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {
            name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "noNewPrivileges": True,
        "apparmorProfile": "a",
        "selinuxLabel": "s",
        "oomScoreAdj": 100,
        "scheduler": {
            "policy": "SCHED_BATCH",
            "nice": 1,
            "priority": 0,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 0,
            "deadline": 0,
            "period": 0,
        },
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "execCPUAffinity": {"initial": "0-1", "final": "0, 2"},
    },
    "linux": {
        "namespaces": [{"type": "network", "path": "/proc/1/ns/net"}],
        "uidMappings": MAPPINGS,
        "gidMappings": MAPPINGS,
        "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}, "monotonic": {"secs": -1, "nanosecs": 0}},
        "devices": [
            {"type": "c", "path": "/dev/x", "major": 1, "minor": 2, "fileMode": 438, "uid": 1, "gid": 2},
        ],
        "netDevices": {"eth0": {"name": "e0"}},
        "cgroupsPath": "/a/b",
        "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "m",
        "sysctl": {"net.core.somaxconn": "256"},
        "personality": {"domain": "LINUX32", "flags": ["F"]},
        "intelRdt": {
            "closID": "c",
            "schemata": ["L3:0=f"],
            "l3CacheSchema": "L3:0=f",
            "memBwSchema": "MB:0=10",
            "enableMonitoring": True,
        },
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        "resources": {
            "devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
            "memory": {
                "limit": 1,
                "reservation": 2,
                "swap": 3,
                "kernel": 4,
                "kernelTCP": 5,
                "swappiness": 6,
                "disableOOMKiller": True,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1,
                "quota": 2,
                "burst": 3,
                "period": 4,
                "realtimeRuntime": 5,
                "realtimePeriod": 6,
                "cpus": "0",
                "mems": "0",
                "idle": 1,
            },
            "pids": {"limit": 7},
            "blockIO": {
                "weight": 10,
                "leafWeight": 20,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 5, "leafWeight": 6}],
                "throttleReadBpsDevice": THROTTLE,
                "throttleWriteBpsDevice": THROTTLE,
                "throttleReadIOPSDevice": THROTTLE,
                "throttleWriteIOPSDevice": THROTTLE,
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
            "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
            "rdma": {"mlx5_0": {"hcaHandles": 1, "hcaObjects": 2}},
            "unified": {"memory.high": "1048576"},
        },
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/l",
            "listenerMetadata": "m",
            "syscalls": [
                {
                    "names": ["read"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 13,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
    },
}


def full() -> dict[str, Any]:
    """A fresh copy of FULL.  It fits the schema; `convert` refuses what is not supported yet."""
    document: dict[str, Any] = json.loads(json.dumps(FULL))  # unlike deepcopy, this shares nothing inside either
    return document


def split(path: str) -> list[str | int]:
    """The parts of a simple JSON path: ``a.b[0].c``."""
    words = path.replace("[", ".[").split(".")
    return [int(word[1:-1]) if word.startswith("[") else word for word in words]


def put(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set the member at a simple JSON path, objects on the way being made; returns the document."""
    *way, last = split(path)
    at: Any = document
    for part in way:
        at = at.setdefault(part, {}) if isinstance(at, dict) else at[part]
    at[last] = value
    return document


def drop(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Delete the member at a simple JSON path; returns the document."""
    *way, last = split(path)
    at: Any = document
    for part in way:
        at = at[part]
    del at[last]
    return document


def text(document: Any) -> bytes:
    """The document as the bytes of a config.json."""
    return json.dumps(document).encode()
