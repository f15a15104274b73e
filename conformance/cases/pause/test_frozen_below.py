"""A cgroup below the container's that is frozen itself: on v1 its processes take no SIGKILL until it is thawed."""

from __future__ import annotations

import os
import time

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.pause.activity import SECONDS, below, computing, is_still, wait_gone
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import EnvironmentProblem

PATIENCE = 4.0  # seconds for delete: one that waits for a frozen process waits for ever
FREEZERS = [
    pytest.param("freezer", "freezer.state", "FROZEN", id="v1", marks=needs("cgroup1", "cgroup:freezer")),
    pytest.param("", "cgroup.freeze", "1", id="v2", marks=needs("cgroup2", "kernel>=5.2")),
]


@needs("root")
@profile("runc-compat")
@pytest.mark.parametrize(("controller", "file", "text"), FREEZERS)
@covers("runtime/delete/7")
def test_forced_delete_ends_what_is_frozen_below(
    runtime: Runtime, bundle: Bundle, controller: str, file: str, text: str
) -> None:
    """A program with a cgroup of its own has frozen some of its processes: delete --force ends them and removes the
    cgroup."""
    container = computing(runtime, bundle)
    (child,) = below(container.pid)
    inner = os.path.join(control_files.directories_of(container)[controller], "inner")
    os.mkdir(inner)
    try:
        for name, value in (("cgroup.procs", str(child)), (file, text)):
            with open(os.path.join(inner, name), "w", encoding="ascii") as control:
                control.write(value)
        deadline = time.monotonic() + patience(SECONDS)
        while not is_still([child]):  # it stops when it next enters the kernel
            if time.monotonic() > deadline:
                raise EnvironmentProblem(f"{inner} does not freeze")
        runtime.command("delete", "--force", container.id, timeout=patience(PATIENCE))
        wait_gone(child)
        assert not os.path.exists(inner)
        assert not runtime.state(container.id).ok
    finally:
        if os.path.exists(inner):  # nobody else will end it
            with open(os.path.join(inner, file), "w", encoding="ascii") as control:
                control.write("THAWED" if controller else "0")
