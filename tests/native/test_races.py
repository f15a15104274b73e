"""Somebody changes the rootfs while the container is being made: CVE-2021-30465, CVE-2024-45310.

Statistical, so it can miss a bug but never invents one: whatever the timing, nothing may appear outside.
"""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from executor_driver import Operation, run
from plans import MS_NODEV, MS_NOSUID, S_IFCHR, container, device

from seatrial.native import operations as table

pytestmark = pytest.mark.root

SECONDS = 0.8


def test_a_directory_that_keeps_turning_into_a_symlink(
    executor: list[str], exchange: str, rootfs: str, tmp_path: os.PathLike[str]
) -> None:
    victim = os.path.join(tmp_path, "victim")
    os.mkdir(victim)
    with open(os.path.join(victim, "marker"), "w"):
        pass
    directory, link = os.path.join(rootfs, "vol", "a"), os.path.join(rootfs, "vol", "b")
    os.makedirs(directory)
    os.symlink(os.path.relpath(victim, os.path.dirname(link)), link)
    before = (os.listdir(victim), os.stat(victim).st_mtime_ns)
    rows: list[Operation] = []
    for n in range(6):
        rows += [
            ("mkdir", f"/vol/a/made{n}/deep", 0o755),
            ("mknod", f"/vol/a/null{n}", S_IFCHR | 0o666, device(1, 3), 0, 0),
            ("symlink", "x", f"/vol/a/link{n}", 1),
            ("bind", "/etc/passwd", f"/vol/a/file{n}", 0),
            ("mount", "tmpfs", f"/vol/a/tmp{n}", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k", 0),
        ]
    plan = container(rootfs, ["probe", "list", "/vol/a", "--", "list", "/vol/b"], before=rows)
    runs = finished = 0
    swapper = subprocess.Popen([exchange, directory, link])
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            outcome = run(executor, plan)
            runs += 1
            if not outcome.texts(table.MESSAGE_ERROR):
                finished += 1
            assert "marker" not in outcome.stdout
            assert (os.listdir(victim), os.stat(victim).st_mtime_ns) == before
        assert swapper.poll() is None
    finally:
        swapper.kill()
        swapper.wait()
    assert runs > 3
