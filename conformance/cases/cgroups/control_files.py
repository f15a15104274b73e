"""A container's cgroup as the kernel shows it: found by /proc/PID/cgroup and the mounted hierarchies (cgroups(7))."""

from __future__ import annotations

import os

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.errors import Finding

PAGE = os.sysconf("SC_PAGE_SIZE")
UNLIMITED = str(((1 << 63) - 1) // PAGE * PAGE)  # what a v1 memory file without a limit reads


def membership(pid: int) -> dict[str, str]:
    """Controller -> path of a process below the root of our cgroup namespace; "" is v2.  Finding when there is no such
    process."""
    found: dict[str, str] = {}
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Finding(f"process {pid} has no /proc/{pid}/cgroup: {error.strerror}") from error
    for line in lines:
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def mount_point(controller: str) -> str | None:
    """Where the hierarchy that has a controller is mounted; None when none is."""
    view = cgroups.read_view()
    return view.v2 if view.mode == "v2" else view.v1.get(controller)


def path_of(container: Container, controller: str) -> str:
    """The path of the container's process in a controller's hierarchy."""
    key = "" if cgroups.read_view().mode == "v2" else controller
    try:
        return membership(container.pid)[key]
    except KeyError:
        raise Finding(f"the container's process is in no {controller} cgroup") from None


def directory_of(container: Container, controller: str) -> str:
    """The directory of the container's process in a controller's hierarchy."""
    base = mount_point(controller)
    if base is None:
        raise Finding(f"no {controller} hierarchy is mounted")
    return os.path.join(base, path_of(container, controller).lstrip("/"))


def directories_of(container: Container) -> dict[str, str]:
    """Controller (or "" for v2) -> directory, in every hierarchy of the view."""
    view = cgroups.read_view()
    mounts = {**view.v1, **({"": view.v2} if view.v2 else {})}
    where = membership(container.pid)
    return {name: os.path.join(base, where[name].lstrip("/")) for name, base in mounts.items() if name in where}


def read(directory: str, name: str) -> str:
    """The text of a control file without its last newline; Finding when it is not there."""
    try:
        with open(os.path.join(directory, name), encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise Finding(f"cannot read {name} of the container's cgroup: {error.strerror}") from error


def value(container: Container, name: str) -> str:
    """The text of a file such as `memory.max`, whose first part names the controller, in the container's cgroup."""
    return read(directory_of(container, controller_of(name)), name)


def controller_of(name: str) -> str:
    """The controller that a control file belongs to."""
    return name.partition(".")[0]


def write(path: str, text: str) -> OSError | None:
    """Write a control file by one write(2); the error instead of raising it."""
    try:
        cgroups.write(path, text)
    except OSError as error:
        return error
    return None


def key_value(text: str, key: str) -> str:
    """The value of a key in a flat keyed file (`oom_kill_disable 0`); Finding when it is not there."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == key:
            return rest
    raise Finding(f"no {key} in {text!r}")
