"""A cgroup subtree of our own in every mounted hierarchy: made, joined, and removed with everything in it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver.execute import alive
from seatrial.conformance.errors import EnvironmentProblem

LEAF = "harness"  # where our processes sit on v2, so that the subtree's root can enable controllers (cgroups(7))
REMOVE_SECONDS = 3.0
PREFIX = "seatrial-"
STALE_SECONDS = 2.0  # for each cgroup of a run that was killed; on a busy host the kernel takes its time


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy.  `option` is the mount option that selects it (`cpu,cpuacct`, `none,name=systemd`, ""
    for v2), `own` the directory of the process' cgroup in it."""

    version: int
    option: str
    mount: str
    own: str


def hierarchies(process: int | str = "self") -> list[Hierarchy]:
    """The hierarchies in this process's view, with its own place in each, or that of a process with this pid
    (/proc/PID/cgroup, cgroups(7)).  OSError when there is no such process."""
    view = cgroups.read_view()
    found: list[Hierarchy] = []
    with open(f"/proc/{process}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines()
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if not path.startswith("/") or path.startswith("/.."):
            continue  # outside the root of our cgroup namespace: not ours to touch
        if number == "0":
            if view.v2 is not None:
                found.append(Hierarchy(2, "", view.v2, view.v2 + path.rstrip("/")))
            continue
        mount = view.v1.get(controllers.split(",")[0])
        if mount is not None:
            option = f"none,{controllers}" if controllers.startswith("name=") else controllers
            found.append(Hierarchy(1, option, mount, mount + path.rstrip("/")))
    return found


class Subtree:
    """A directory `name` below our own cgroup in every hierarchy.

    EnvironmentProblem when one cannot be made (then none is left).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: list[tuple[Hierarchy, str]] = []
        for hierarchy in hierarchies():
            parent = hierarchy.own
            if hierarchy.version == 2 and os.path.basename(parent) == LEAF:
                parent = os.path.dirname(parent)
            path = os.path.join(parent, name)
            try:
                os.mkdir(path)
                self.places.append((hierarchy, path))
                if hierarchy.version == 1 and "cpuset" in hierarchy.option.split(","):
                    copy_cpuset(parent, path)
            except OSError as error:
                self.destroy()
                raise EnvironmentProblem(f"cannot make the cgroup {path}: {error.strerror}") from error

    def join(self) -> None:
        """Move this process in: the cgroup namespace that is unshared next has its root here."""
        for _, path in self.places:
            _write(os.path.join(path, "cgroup.procs"), "0")

    @staticmethod
    def settle(root: str) -> None:
        """On v2 move on into the leaf and enable controllers; `root` is the mount point of v2 in the new view."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(root, LEAF))
        _write(os.path.join(root, LEAF, "cgroup.procs"), "0")
        enable_controllers(root)

    def destroy(self) -> list[str]:
        """Kill what is in the subtree and remove it.  What could not be removed is returned."""
        left = []
        for _, path in self.places:
            if not remove(path):
                left.append(path)
        self.places = []
        return left


def enable_controllers(path: str) -> None:
    """Offer every available controller to the children of a v2 cgroup; one that refuses is left out."""
    with open(os.path.join(path, "cgroup.controllers"), encoding="ascii") as file:
        names = file.read().split()
    for name in names:
        with contextlib.suppress(EnvironmentProblem):
            _write(os.path.join(path, "cgroup.subtree_control"), f"+{name}")


def processes(path: str) -> set[int]:
    """Processes in a cgroup and below it, as numbered in our pid namespace."""
    found: set[int] = set()
    for directory, _, _ in os.walk(path):
        try:
            with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
                found.update(int(word) for word in file.read().split())
        except OSError:
            continue
    return found


def remove(path: str, seconds: float = REMOVE_SECONDS) -> bool:
    """Kill the processes in a cgroup and below, and remove it; False when it is still there after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while os.path.isdir(path):
        for pid in processes(path) - {0, os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _thaw(path)
        for directory, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        if not os.path.isdir(path):
            break
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def name_for(pid: int) -> str:
    """The name of the subtree of a harness process: its pid, and the pid namespace in which that means something."""
    return f"{PREFIX}{pid}-{os.stat('/proc/self/ns/pid').st_ino}"


def stale() -> list[str]:
    """The subtrees of harness processes that no longer exist (killed before they could clean up).

    Those of other pid namespaces (in a container that sees the same hierarchies) are not ours to judge.
    """
    found = []
    for hierarchy in hierarchies():
        try:
            names = os.listdir(hierarchy.own)
        except OSError:
            continue
        for name in names:
            number = name.removeprefix(PREFIX).partition("-")[0]
            if number.isdigit() and name == name_for(int(number)) and not alive(int(number)):
                found.append(os.path.join(hierarchy.own, name))
    return found


def sweep_stale() -> None:
    """Remove what stale() finds."""
    for path in stale():
        remove(path, STALE_SECONDS)


def _thaw(path: str) -> None:
    """A frozen task does not die before it is thawed: on v1 always, on v2 the kernel kills frozen tasks."""
    for directory, _, files in os.walk(path):
        if "freezer.state" in files:
            with contextlib.suppress(EnvironmentProblem):
                _write(os.path.join(directory, "freezer.state"), "THAWED")


def copy_cpuset(parent: str, path: str) -> None:
    """A new v1 cpuset is empty and takes no process before it has CPUs and memory nodes (cpuset(7))."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        with open(os.path.join(parent, name), encoding="ascii") as file:
            _write(os.path.join(path, name), file.read().strip())


def _write(path: str, text: str) -> None:
    try:
        cgroups.write(path, text)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {text!r} to {path}: {error.strerror}") from error
