"""What two containers from equal configs must have in common, as the probe sees it."""

from __future__ import annotations

import os
from typing import Any

from seatrial.conformance.driver.probe import Report

MEMBERS = ("env", "cwd", "ids", "umask", "caps", "no_new_privs", "rlimits", "uts", "oom_score_adj", "seccomp")
DEVICE = ("type", "mode", "uid", "gid", "major", "minor", "text")  # but not inode numbers and times
NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup")


def own_namespace(name: str) -> int:
    """Inode number of this process's namespace."""
    return os.stat(f"/proc/self/ns/{name}").st_ino


def visible(report: Report) -> dict[str, Any]:
    """The part of a report that does not change from one run of a config to the next."""
    seen: dict[str, Any] = {name: report[name] for name in MEMBERS}
    seen["mounts"] = [(entry["target"], entry["fstype"], entry["options"]) for entry in report["mounts"] or []]
    seen["devices"] = {
        path: {name: entry.get(name) for name in DEVICE} for path, entry in (report["devices"] or {}).items()
    }
    seen["new namespaces"] = [name for name in NAMESPACES if report.namespace(name) != own_namespace(name)]
    return seen
