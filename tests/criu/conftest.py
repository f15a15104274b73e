"""Checkpoints of real containers.  Skipped by name where CRIU is missing, or does not work on this kernel.

SEATRIAL_CRIU names the program; else it is looked up in PATH.  `docs/examples/newer-runtime sid criu ROOT OUT` gets
one for a kernel that is newer than the distribution's CRIU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from reachable import reachable_directory
from shell_bundle import ShellBundle, Trial


@pytest.fixture(scope="session")
def criu() -> str:
    """The program."""
    found = shutil.which(os.environ.get("SEATRIAL_CRIU", "criu"), path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip("criu: not installed")
    if shutil.which("busybox") is None:
        pytest.skip("busybox: not installed")
    checked = subprocess.run([found, "check"], check=False, capture_output=True, text=True, timeout=120)
    if checked.returncode != 0:
        pytest.skip(f"criu: does not work on this kernel: {' '.join(checked.stderr.split())[-200:]}")
    return found


@pytest.fixture
def place() -> Iterator[str]:
    """A directory that goes with the test."""
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def bundle(place: str) -> ShellBundle:
    """A container that counts."""
    return ShellBundle(os.path.join(place, "bundle"))


@pytest.fixture
def trial(criu: str, place: str, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The command line; afterwards nothing may be left of its containers."""
    line = Trial(criu, place, getattr(request, "param", "host"))
    yield line
    left = sorted(set(os.listdir(line.root)) - {".cache"}) if os.path.isdir(line.root) else []
    for id in left:
        line.end(id)
    with open("/proc/self/mounts") as file:
        assert place not in file.read(), "a mount is left"
