"""What the mounted cgroup hierarchies look like to a process that reads /proc/self/mountinfo, as runtimes do."""

from __future__ import annotations

import os
from dataclasses import dataclass

ROOT = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class View:
    """mode is "v1", "v2", "hybrid" or "none"; v1 maps a controller (or `name=systemd`) to its mount point."""

    mode: str
    v1: dict[str, str]
    v2: str | None

    def controllers(self) -> set[str]:
        """Controllers that a container can be limited by in this view: v1's, or those of the sole v2 hierarchy."""
        if self.mode != "v2" or self.v2 is None:
            return {name for name in self.v1 if "=" not in name}
        try:
            with open(os.path.join(self.v2, "cgroup.controllers"), encoding="ascii") as file:
                return set(file.read().split())
        except OSError:
            return set()

    def hierarchies(self) -> list[str]:
        """Mount points of all hierarchies in the view, each once."""
        return sorted({*self.v1.values(), *([self.v2] if self.v2 else [])})


V1_WORDS = {
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
}


def write(path: str, text: str) -> None:
    """Write a control file by one write(2), which is how the kernel takes its text.  OSError."""
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(number, text.encode())
    finally:
        os.close(number)


def read_view(mountinfo: str | None = None) -> View:
    """The view of this process.  `mountinfo` is the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    if mountinfo is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
    v1: dict[str, str] = {}
    v2: str | None = None
    covered = ""  # a later mount on /sys/fs/cgroup hides every hierarchy mounted below it before
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        target = left.split()[4]
        kind, _, options = right.split(" ", 2)
        if target == ROOT:
            v1, v2, covered = {}, None, kind
        if kind == "cgroup2" and (target == ROOT or target.startswith(ROOT + "/")):
            v2 = target
        elif kind == "cgroup" and target.startswith(ROOT + "/"):
            words = {word for word in options.split(",") if word in V1_WORDS or word.startswith("name=")}
            v1.update(dict.fromkeys(words, target))
    if covered == "cgroup2":
        mode = "v2"
    elif v1:
        mode = "hybrid" if v2 else "v1"
    else:
        mode = "none"
    return View(mode, v1, v2)
