"""Cgroups below a threaded one (cgroups(7), "thread mode"): places without memory, io and the like."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from seatrial.native import pidfd
from seatrial.native.spawn import spawn
from seatrial.runtime.cgroup.hierarchy import detect
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.config import HugepageLimit, Resources, ThrottleDevice
from seatrial.runtime.errors import StateError

TOP = f"seatrial-test-threaded-{os.getpid()}"


@pytest.fixture
def parent() -> Iterator[str]:
    """A threaded cgroup; the one above it is the root of its threads."""
    unified = detect().v2
    if unified is None:
        pytest.skip("needs a mounted cgroup2")
    top = f"{unified.mount_point}/{TOP}"
    os.makedirs(f"{top}/threads")
    with open(f"{top}/threads/cgroup.type", "w", encoding="ascii") as file:
        file.write("threaded")
    yield f"{top}/threads"
    made = CgroupV2({"": f"{top}/threads/a/box"})
    made.kill_all()
    made.remove()
    for directory in (f"{top}/threads/a", f"{top}/threads", top):
        if os.path.isdir(directory):
            os.rmdir(directory)


def type_of(path: str) -> str:
    with open(f"{path}/cgroup.type", encoding="ascii") as file:
        return file.read().strip()


def test_new_levels_become_threaded_and_work(parent: str) -> None:
    cgroup = CgroupV2({"": f"{parent}/a/box"})
    cgroup.create(Resources(pids_limit=7, cpuset_cpus="0"))
    assert [type_of(path) for path in (f"{parent}/a", cgroup.path)] == ["threaded", "threaded"]
    shell = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
    directory = cgroup.fd()
    pid, handle = spawn(shell, [b"sh", b"-c", b"sleep 100 & sleep 100"], [b"PATH=/bin"], [], cgroup_fd=directory)
    other, second = spawn(shell, [b"sh", b"-c", b"exec sleep 100"], [b"PATH=/bin"], [])
    cgroup.join(other)
    for fd in (shell, directory):
        os.close(fd)
    while len(cgroup.pids()) < 4:
        os.sched_yield()
    assert {pid, other} <= set(cgroup.pids())
    with pytest.raises(StateError, match="not empty: 4 processes"):
        CgroupV2({"": cgroup.path}).create()
    cgroup.freeze()
    assert cgroup.frozen()
    cgroup.thaw()
    cgroup.kill_all()
    for fd in (handle, second):
        end = pidfd.wait(fd)
        os.close(fd)
        assert end is not None
        assert end.signal == 9
    cgroup.remove()
    assert not cgroup.exists()


def test_processes_are_counted_not_threads(parent: str) -> None:
    import threading

    cgroup = CgroupV2({"": f"{parent}/a/box"})
    cgroup.create()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        for _ in range(3):
            threading.Thread(target=os.read, args=(read, 1), daemon=True).start()
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        cgroup.join(child)
        assert cgroup.pids() == [child]
    finally:
        os.close(write)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        (Resources(memory_limit=1 << 20), "memory.limit"),
        (Resources(memory_reservation=1), "memory.reservation"),
        (Resources(blkio_read_bps=[ThrottleDevice(major=7, minor=0, rate=1)]), "blockIO"),
        (Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=0)]), "hugepageLimits"),
    ],
)
def test_limits_of_whole_processes_have_no_place_there(parent: str, resources: Resources, named: str) -> None:
    cgroup = CgroupV2({"": f"{parent}/a/box"})
    with pytest.raises(StateError, match=f"below a threaded one: no place for linux.resources.{named}"):
        cgroup.create(resources)
    assert not os.path.exists(f"{parent}/a")
