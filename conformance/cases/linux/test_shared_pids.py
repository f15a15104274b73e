"""config-linux.md#namespaces: the other namespaces are new also where the pid namespace is the runtime's.

Runtimes make them in another way then: no child has to be the first process of a pid namespace.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime

ROW = "config-linux/namespaces/"
TYPES = {"mount": "mnt", "network": "net", "ipc": "ipc", "uts": "uts"}


def links(pid: int | str) -> dict[str, int]:
    """Inode numbers of a process's namespaces."""
    return {name: os.stat(f"/proc/{pid}/ns/{file}").st_ino for name, file in TYPES.items()}


@needs("root")
@pytest.mark.parametrize("user", [False, pytest.param(True, marks=needs("userns"))], ids=["root", "user namespace"])
@covers(ROW + "14", ROW + "15")
def test_other_namespaces_are_new(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    """mount, network, ipc and uts are new, pid is the runtime's."""
    bundle.without_namespace("pid")
    if user:
        # A proc of the host's pid namespace cannot be mounted from a user namespace: engines bind the host's.
        bundle.user_namespace().without_mount("/proc")
        options = ["rbind", "nosuid", "noexec", "nodev"]
        entry = {"destination": "/proc", "type": "bind", "source": "/proc", "options": options}
        bundle.config["mounts"].insert(0, entry)
    container = runtime.create(bundle.probe("hold", report=False))
    mine = links("self")
    found: dict[str, Any] = links(container.pid)
    assert {name for name in TYPES if found[name] == mine[name]} == set()
    assert os.stat(f"/proc/{container.pid}/ns/pid").st_ino == os.stat("/proc/self/ns/pid").st_ino
