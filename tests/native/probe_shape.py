"""The shape of a report, as docs/probe.md has it: a table, and the function that compares."""

from __future__ import annotations

import re
from typing import Any


class Maybe:
    """Null, or of this shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Optional:
    """The key may be absent; if it is there, its value is of this shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Each:
    """An object with any keys, whose values are of this shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


MASK = re.compile("[0-9a-f]{16}")
TEXT = Maybe(str)
NUMBER = Maybe(int)
STATUS = {
    "type": re.compile("[fdlcbps?]"),
    "mode": int,
    "uid": int,
    "gid": int,
    "dev": int,
    "ino": int,
    "major": Optional(int),
    "minor": Optional(int),
}
STATFS = {
    "magic": int,
    "fstype": TEXT,
    "flags": [str],
    "readonly": bool,
    "block_size": int,
    "blocks": int,
    "blocks_free": int,
    "files": int,
    "files_free": int,
}
PATH_STATUS = {
    **STATUS,
    "size": int,
    "nlink": int,
    "atime": int,
    "mtime": int,
    "ctime": int,
    "text": Optional(TEXT),
    "follow": Optional(Maybe(STATUS)),
    "statfs": {key: Optional(shape) for key, shape in STATFS.items()},
}
MOUNT = {
    "id": int,
    "parent": int,
    "device": re.compile("[0-9]+:[0-9]+"),
    "root": str,
    "target": str,
    "options": str,
    "propagation": [str],
    "fstype": str,
    "source": str,
    "super_options": str,
}
DESCRIPTOR = {
    "fd": int,
    "target": TEXT,
    "type": TEXT,
    "dev": NUMBER,
    "ino": NUMBER,
    "flags": NUMBER,
    "cloexec": bool,
}
NAMESPACES = ("mnt", "pid", "pid_for_children", "net", "uts", "ipc", "user", "cgroup", "time", "time_for_children")
LIMITS = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()
PRIORITY = Maybe({"class": int, "level": int, "raw": int})

REPORT: dict[str, Any] = {
    "schema": re.compile("seatrial[.]probe/1"),
    "argv": [str],
    "env": [str],
    "exe": TEXT,
    "comm": TEXT,
    "auxv": {"secure": bool, "execfn": TEXT},
    "pid": int,
    "ppid": int,
    "pgid": NUMBER,
    "sid": NUMBER,
    "ns_pid": TEXT,
    "ids": {"uid": Maybe([NUMBER]), "gid": Maybe([NUMBER]), "groups": Maybe([int])},
    "umask": NUMBER,
    "caps": dict.fromkeys(("effective", "permitted", "inheritable", "bounding", "ambient"), Maybe(MASK)),
    "rlimits": {f"RLIMIT_{name}": Maybe([int]) for name in LIMITS},
    "oom_score_adj": NUMBER,
    "personality": NUMBER,
    "clocks": {"monotonic": int, "boottime": int, "realtime": int},
    "scheduler": Maybe(
        {
            "policy": int,
            "policy_name": TEXT,
            **dict.fromkeys(
                ("flags", "nice", "priority", "runtime", "deadline", "period", "util_min", "util_max"), int
            ),
        }
    ),
    "nice": NUMBER,
    "io_priority": PRIORITY,
    "io_priority_group": PRIORITY,
    "affinity": Maybe([int]),
    "mempolicy": Maybe({"mode": int, "mode_name": TEXT, "flags": [str], "nodes": [int], "allowed_nodes": Maybe([int])}),
    "timerslack": NUMBER,
    "no_new_privs": Maybe(bool),
    "securebits": NUMBER,
    "dumpable": NUMBER,
    "keepcaps": NUMBER,
    "parent_death_signal": NUMBER,
    "child_subreaper": NUMBER,
    "seccomp": {"mode": NUMBER, "filters": NUMBER, "speculation_store_bypass": TEXT},
    "signals": dict.fromkeys(("blocked", "ignored", "pending"), Maybe(MASK)),
    "keyring": {"session": TEXT, "id": NUMBER, "uid": NUMBER, "gid": NUMBER, "permissions": NUMBER},
    "lsm": {"apparmor": TEXT, "current": TEXT, "exec": TEXT},
    "namespaces": dict.fromkeys(NAMESPACES, NUMBER),
    "uid_map": TEXT,
    "gid_map": TEXT,
    "setgroups": TEXT,
    "timens": Maybe({"monotonic": TEXT, "boottime": TEXT}),
    "uts": Maybe(dict.fromkeys(("sysname", "nodename", "release", "version", "machine", "domainname"), str)),
    "first_cgroup": TEXT,
    "cgroup": Maybe([{"hierarchy": int, "controllers": str, "path": str}]),
    "cwd": TEXT,
    "cwd_stat": Maybe({**STATUS, **STATFS}),
    "root": Maybe({**STATUS, **STATFS}),
    "rootfs": {"readonly": Maybe(bool), "propagation": Maybe([str])},
    "mounts": Maybe([MOUNT]),
    "fds": [DESCRIPTOR],
    "stdio": [Maybe({"tty": bool, **STATUS, "winsize": Maybe([int])})],
    "controlling_tty": bool,
    "devices": Maybe(Each({**STATUS, "text": Optional(str)})),
    "interfaces": Maybe(
        [
            {
                "name": str,
                "alias": Optional(str),
                "mac": Optional(str),
                "mtu": int,
                "txqueuelen": int,
                "index": int,
                "flags": [str],
                "up": bool,
                "loopback": bool,
            }
        ]
    ),
    "addresses": Maybe(
        [{"index": int, "family": str, "address": str, "prefix": int, "scope": int, "broadcast": Optional(str)}]
    ),
    "sysctl": Each(TEXT),
    "stat": Each({"errno": Optional(str), **{key: Optional(shape) for key, shape in PATH_STATUS.items()}}),
}


def mismatches(value: Any, shape: Any, path: str = "") -> list[str]:
    """Where a value differs from a shape: one line for each place."""
    if isinstance(shape, Maybe):
        return [] if value is None else mismatches(value, shape.shape, path)
    if isinstance(shape, Optional):
        return mismatches(value, shape.shape, path)
    if isinstance(shape, type):
        return [] if type(value) is shape else [f"{path}: {value!r} is not {shape.__name__}"]
    if isinstance(shape, re.Pattern):
        return [] if isinstance(value, str) and shape.fullmatch(value) else [f"{path}: {value!r}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{path}: {value!r} is not a list"]
        return [line for i, item in enumerate(value) for line in mismatches(item, shape[0], f"{path}[{i}]")]
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not an object"]
    if isinstance(shape, Each):
        return [line for key, item in value.items() for line in mismatches(item, shape.shape, f"{path}.{key}")]
    found = [f"{path}.{key}: absent" for key, item in shape.items() if key not in value and type(item) is not Optional]
    found += [f"{path}.{key}: unknown" for key in value if key not in shape]
    for key in value.keys() & shape.keys():
        found += mismatches(value[key], shape[key], f"{path}.{key}")
    return found
