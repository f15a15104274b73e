"""A pool of real machines, and one of them.  Skipped by name where QEMU or a kernel cannot be had."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from seatrial.vm.errors import InfrastructureError
from seatrial.vm.machine import Blueprint, Machine
from seatrial.vm.qemu.pool import QemuPool, parts

KERNEL = "6.1"
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mkfs.erofs", "apt-get", "dpkg-deb")


@pytest.fixture(scope="module")
def pool() -> Iterator[QemuPool]:
    """Machines by QEMU."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in NEEDED:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"program:{program}: not installed")
    try:
        parts(Blueprint(kernel=KERNEL))
    except InfrastructureError as error:
        pytest.skip(f"packages: {str(error).splitlines()[0]}")
    with QemuPool() as made:
        yield made


@pytest.fixture(scope="module")
def clone(pool: QemuPool) -> Iterator[Machine]:
    """A clone of a warm machine with cgroup v2."""
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as machine:
        yield machine
