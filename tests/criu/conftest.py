"""Checkpoints of real containers.  Skipped by name where no CRIU works on this kernel and none is to be had.

SEATRIAL_CRIU names the program; else working_criu.py finds or fetches one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from reachable import reachable_directory
from shell_bundle import ShellBundle, Trial
from working_criu import NoCriuError, working_criu


@pytest.fixture(scope="session")
def criu() -> str:
    """The program."""
    if shutil.which("busybox") is None:
        pytest.skip("busybox: not installed")
    try:
        return working_criu()
    except NoCriuError as error:
        pytest.skip(str(error))


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
