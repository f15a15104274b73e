"""The check that a test run leaves nothing on the host can fail."""

from __future__ import annotations

import os
import subprocess
import tempfile

import leftovers
import pytest

from seatrial.native import programs


def test_nothing_new_is_nothing_left() -> None:
    before = leftovers.snapshot()
    assert leftovers.compare(before, before) == []


def test_a_directory_left_is_seen() -> None:
    before = leftovers.snapshot()
    with tempfile.TemporaryDirectory(prefix="seatrial-left-") as directory:
        found = leftovers.compare(before, leftovers.snapshot())
        assert f"temporary directory: {directory}" in found


def test_a_process_left_is_seen() -> None:
    before = leftovers.snapshot()
    child = subprocess.Popen(["sh", "/dev/stdin", "other"], stdin=subprocess.PIPE, executable="/bin/sh")
    try:
        assert f"process: {child.pid} sh /dev/stdin other" not in leftovers.compare(before, leftovers.snapshot())
    finally:
        child.communicate(b"exit\n")
    program = programs.path("probe")
    child = subprocess.Popen([program, "hold"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline()
        assert f"process: {child.pid} {program} hold" in leftovers.compare(before, leftovers.snapshot())
    finally:
        child.kill()
        child.communicate()


@pytest.mark.root
def test_a_cgroup_left_is_seen() -> None:
    places = [path for path in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup") if os.path.exists(f"{path}/cgroup.procs")]
    if not places:
        pytest.skip("needs a cgroup hierarchy under /sys/fs/cgroup")
    before = leftovers.snapshot()
    directory = os.path.join(places[0], f"seatrial-left-{os.getpid()}")
    os.mkdir(directory)
    try:
        assert f"cgroup: {directory}" in leftovers.compare(before, leftovers.snapshot())
    finally:
        os.rmdir(directory)
