"""A cgroup that is there before the container."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.airlock import subtree
from seatrial.conformance.cases.cgroups.control_files import mount_point
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import HarnessBug


@pytest.fixture
def existing_cgroup(runtime: Runtime) -> Iterator[Callable[[Bundle, str], str]]:
    """existing_cgroup(bundle, controller): make the cgroup that the bundle's cgroupsPath names in the hierarchy of a
    controller, and return its directory.  The case's containers are deleted before it is removed."""
    made: list[str] = []

    def make(bundle: Bundle, controller: str) -> str:
        base, path = mount_point(controller), bundle.cgroups_path()
        if base is None or not path or not path.startswith("/st-"):
            raise HarnessBug(f"no cgroup {path} of our own in the {controller} hierarchy")
        directory = base + path
        os.makedirs(directory, exist_ok=True)
        made.append(directory)
        return directory

    yield make
    for container in runtime.containers:
        container.discard()
    for directory in made:
        subtree.remove(directory)
