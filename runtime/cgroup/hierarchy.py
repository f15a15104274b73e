"""Which cgroup hierarchies this process sees, and where it is in them.  cgroups(7), proc_pid_mountinfo(5).

mode  v1      only v1 hierarchies are visible
      hybrid  v1 hierarchies with controllers, and a v2 hierarchy beside them
      v2      only the v2 hierarchy (or v1 ones without any controller: a named one)

Nothing here assumes /sys/fs/cgroup: a mount counts when it can be reached, wherever it is.  Inside a cgroup namespace
the kernel gives own paths relative to the namespace's root, and so do the roots of mounts made in it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

V1 = "v1"
HYBRID = "hybrid"
V2 = "v2"


class Mounted:
    """One hierarchy: where it is mounted and where this process is in it."""

    __slots__ = ("controllers", "mount_point", "own", "root")

    def __init__(self, mount_point: str, root: str, controllers: tuple[str, ...], own: str = "/") -> None:
        self.mount_point = mount_point
        self.root = root  # the cgroup that the mount shows: "/", or a path when a part is bind mounted
        self.controllers = controllers  # ("cpu", "cpuacct"), ("name=systemd",), or () for v2
        self.own = own  # path of this process's cgroup as /proc/self/cgroup gives it

    def own_directory(self) -> str:
        """The directory of this process's cgroup; the mount point itself where it is not below the mount's root."""
        inside = self.own
        if self.root != "/":
            if self.own != self.root and not self.own.startswith(self.root + "/"):
                return self.mount_point
            inside = self.own[len(self.root) :]
        return self.mount_point + inside.rstrip("/") if inside != "/" else self.mount_point


class Hierarchy:
    """The hierarchies that are visible: `v1` by controller (or ``name=...``) and `v2`, the unified one, or None."""

    __slots__ = ("v1", "v2")

    def __init__(self, v1: dict[str, Mounted], v2: Mounted | None) -> None:
        self.v1 = v1
        self.v2 = v2

    @property
    def mode(self) -> str:
        """V1, HYBRID, V2, or "" when nothing is mounted."""
        if any("=" not in name for name in self.v1):
            return HYBRID if self.v2 else V1
        if self.v2:
            return V2
        return V1 if self.v1 else ""

    def v1_mounts(self) -> list[Mounted]:
        """The v1 hierarchies, each once though it may carry several controllers."""
        return list({mounted.mount_point: mounted for mounted in self.v1.values()}.values())


def _unescaped(path: str) -> str:
    """mountinfo writes blank, tab, newline and backslash as three octal digits."""
    if "\\" not in path:
        return path
    for code in ("040", "011", "012", "134"):
        path = path.replace("\\" + code, chr(int(code, 8)))
    return path


def _device(path: str) -> str:
    """"major:minor" of the filesystem that a look-up of this path reaches, "" when there is none."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return ""
    return f"{os.major(device)}:{os.minor(device)}"


def own_paths(proc_cgroup: str) -> dict[str, str]:
    """/proc/PID/cgroup as controller (or ``name=...``; "" for v2) -> path."""
    paths = {}
    for line in proc_cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(",") if controllers else ["" if number == "0" else "?"]:
            paths[controller] = path
    return paths


def parse(mountinfo: str, proc_cgroup: str, device: Callable[[str], str] = _device) -> Hierarchy:
    """The hierarchies from the two texts.

    `device` tells which filesystem a path reaches now ("major:minor"): a hierarchy that another mount covers does not
    count.  Of several mounts of one hierarchy the first that shows its root is taken, else the first.
    """
    own = own_paths(proc_cgroup)
    v1: dict[str, Mounted] = {}
    v2: Mounted | None = None
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        fstype, _, options = right.split(" ", 2)
        number, root, mount_point = fields[2], _unescaped(fields[3]), _unescaped(fields[4])
        if fstype not in ("cgroup", "cgroup2") or device(mount_point) != number:
            continue
        if fstype == "cgroup2":
            if v2 is None or (v2.root != "/" and root == "/"):
                v2 = Mounted(mount_point, root, (), own.get("", "/"))
            continue
        controllers = tuple(word for word in options.split(",") if word in own)
        for name in controllers:
            if name not in v1 or (v1[name].root != "/" and root == "/"):
                v1[name] = Mounted(mount_point, root, controllers, own[name])
    return Hierarchy(v1, v2)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def detect() -> Hierarchy:
    """The hierarchies of this process.  OSError without /proc."""
    return parse(_text("/proc/self/mountinfo"), _text("/proc/self/cgroup"))
