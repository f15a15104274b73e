"""Reads a container's cgroup files from outside."""

from __future__ import annotations

import os

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.errors import Finding


def read(container: Container, controller: str, name: str) -> str:
    """The text of a file in the cgroup of the container's process, found by /proc/PID/cgroup (cgroups(7)).  Finding
    when the process is in no cgroup of that controller."""
    view = cgroups.read_view()
    unified = view.mode == "v2"
    base = view.v2 if unified else view.v1.get(controller)
    with open(f"/proc/{container.pid}/cgroup", encoding="utf-8") as file:
        entries = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in entries:
        if base and ("" if unified else controller) in controllers.split(","):
            with open(os.path.join(base, path.lstrip("/"), name), encoding="ascii") as file:
                return file.read().strip()
    raise Finding(f"the container's process is in no {controller} cgroup: {entries}")
