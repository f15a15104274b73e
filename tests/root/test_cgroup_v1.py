"""Cgroup v1 for real: hierarchies of this host, in a subtree of our own that is gone afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from seatrial.native import pidfd
from seatrial.native.spawn import spawn
from seatrial.runtime.cgroup.cgroup import Cgroup
from seatrial.runtime.cgroup.hierarchy import Hierarchy, detect
from seatrial.runtime.cgroup.place import from_paths, place
from seatrial.runtime.config import (
    DeviceRule,
    HugepageLimit,
    InterfacePriority,
    RdmaLimit,
    Resources,
    ThrottleDevice,
)
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.errors import SeatrialError, StateError, SyscallError

TOP = f"seatrial-test-v1-{os.getpid()}"


@pytest.fixture
def hierarchy() -> Hierarchy:
    found = detect()
    missing = {"memory", "cpu", "cpuset", "pids", "devices", "freezer"} - set(found.v1)
    if missing:
        pytest.skip(f"needs cgroup v1 with {', '.join(sorted(missing))}")
    return found


@pytest.fixture
def cgroup(hierarchy: Hierarchy) -> Iterator[Cgroup]:
    made = place(f"/{TOP}/box", "id", hierarchy)
    yield made
    if made.exists():
        made.kill_all()
        made.remove()
    for directory in made.directories():
        if os.path.isdir(os.path.dirname(directory)):
            os.rmdir(os.path.dirname(directory))


class Child:
    """A shell script in the cgroup: it starts when it has been placed there."""

    def __init__(self, cgroup: Cgroup, script: str) -> None:
        shell = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
        wait, self.go = os.pipe()
        self.output, writer = os.pipe()
        self.pid, self.pidfd = spawn(
            shell, [b"sh", b"-c", b"read go; " + script.encode()], [b"PATH=/bin:/usr/bin"],
            [(0, wait), (1, writer), (2, writer)],
        )  # fmt: skip
        for fd in (shell, wait, writer):
            os.close(fd)
        cgroup.join(self.pid)

    def finish(self) -> tuple[pidfd.Exit, str]:
        os.close(self.go)
        with open(self.output, "rb") as file:
            text = file.read().decode()
        end = pidfd.wait(self.pidfd)
        os.close(self.pidfd)
        assert end is not None
        return end, text


def value(cgroup: Cgroup, controller: str, name: str) -> str:
    with open(f"{cgroup.paths[controller]}/{name}", encoding="ascii") as file:
        return file.read().strip()


def test_limits_are_in_the_files(cgroup: Cgroup) -> None:
    cgroup.create()
    cgroup.apply(
        Resources(
            memory_limit=64 << 20, memory_swap=96 << 20, memory_reservation=32 << 20, memory_swappiness=7,
            cpu_shares=512, cpu_quota=50000, cpu_period=200000, cpu_burst=1000, cpuset_cpus="0", pids_limit=33,
        )
    )  # fmt: skip
    assert [
        value(cgroup, controller, name)
        for controller, name in (
            ("memory", "memory.limit_in_bytes"), ("memory", "memory.memsw.limit_in_bytes"),
            ("memory", "memory.soft_limit_in_bytes"), ("memory", "memory.swappiness"), ("cpu", "cpu.shares"),
            ("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.cfs_period_us"), ("cpu", "cpu.cfs_burst_us"),
            ("cpuset", "cpuset.cpus"), ("pids", "pids.max"),
        )
    ] == [str(64 << 20), str(96 << 20), str(32 << 20), "7", "512", "50000", "200000", "1000", "0", "33"]  # fmt: skip


def block_device() -> tuple[int, int]:
    """A whole block device of this host: the kernel takes no other."""
    names = sorted(os.listdir("/sys/block"), key=lambda name: (name.startswith(("loop", "ram", "zram")), name))
    if not names:
        pytest.skip("needs a block device")
    with open(f"/sys/block/{names[0]}/dev", encoding="ascii") as file:
        major, minor = file.read().split(":")
    return int(major), int(minor)


def test_block_devices_are_throttled_and_taken_back(cgroup: Cgroup) -> None:
    if "blkio" not in cgroup.paths:
        pytest.skip("needs cgroup v1 with blkio")
    major, minor = block_device()
    cgroup.create()
    rates = {
        "blkio_read_bps": 1 << 20, "blkio_write_bps": 2 << 20, "blkio_read_iops": 300, "blkio_write_iops": 400,
    }  # fmt: skip
    names = [f"blkio.throttle.{way}_{unit}_device" for unit in ("bps", "iops") for way in ("read", "write")]

    def shown() -> list[str]:
        return [value(cgroup, "blkio", name) for name in names]

    throttles = {field: [ThrottleDevice(major=major, minor=minor, rate=rate)] for field, rate in rates.items()}
    cgroup.apply(Resources(**throttles))
    before = shown()
    assert before == [f"{major}:{minor} {rate}" for rate in rates.values()]
    off = {field: [ThrottleDevice(major=major, minor=minor, rate=0)] for field in rates}
    undo = cgroup.change(Resources(**off))
    assert shown() == [""] * 4
    assert undo.run() == []
    assert shown() == before
    cgroup.apply(Resources(**off))
    undo = cgroup.change(Resources(**throttles))
    assert undo.run() == []
    assert shown() == [""] * 4


def test_weight_of_block_devices(cgroup: Cgroup) -> None:
    if "blkio" not in cgroup.paths:
        pytest.skip("needs cgroup v1 with blkio")
    cgroup.create()
    name = "blkio.bfq.weight"
    if not os.path.exists(f"{cgroup.paths['blkio']}/{name}"):
        with pytest.raises(SyscallError, match=r"blkio\.weight: ENOENT; no I/O scheduler"):
            cgroup.apply(Resources(blkio_weight=500))
        pytest.skip("needs BFQ")
    cgroup.apply(Resources(blkio_weight=500))
    assert value(cgroup, "blkio", name) == "500"
    undo = cgroup.change(Resources(blkio_weight=10))
    assert undo.run() == []
    assert value(cgroup, "blkio", name) == "500"
    with pytest.raises(SyscallError, match=r"blkio\.leaf_weight: ENOENT; no I/O scheduler"):
        cgroup.apply(Resources(blkio_leaf_weight=500))


def test_hugepages_classes_and_priorities(cgroup: Cgroup) -> None:
    """Controllers that many hosts do not have on v1; each is tested where it is."""
    cgroup.create()
    tested = []
    if "hugetlb" in cgroup.paths:
        cgroup.apply(Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=4 << 20)]))
        assert value(cgroup, "hugetlb", "hugetlb.2MB.limit_in_bytes") == str(4 << 20)
        if os.path.exists(f"{cgroup.paths['hugetlb']}/hugetlb.2MB.rsvd.limit_in_bytes"):
            assert value(cgroup, "hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes") == str(4 << 20)
        tested.append("hugetlb")
    if "net_cls" in cgroup.paths:
        cgroup.apply(Resources(net_class_id=0x100001))
        assert value(cgroup, "net_cls", "net_cls.classid") == str(0x100001)
        tested.append("net_cls")
    if "net_prio" in cgroup.paths:
        undo = cgroup.change(Resources(net_priorities=[InterfacePriority(name="lo", priority=5)]))
        assert "lo 5" in value(cgroup, "net_prio", "net_prio.ifpriomap").splitlines()
        assert undo.run() == []
        assert "lo 0" in value(cgroup, "net_prio", "net_prio.ifpriomap").splitlines()
        with pytest.raises(SyscallError, match=r"nosuch9 1 to .*: ENODEV; is there an interface nosuch9"):
            cgroup.apply(Resources(net_priorities=[InterfacePriority(name="nosuch9", priority=1)]))
        tested.append("net_prio")
    if "rdma" in cgroup.paths:
        with pytest.raises(SyscallError, match=r"nosuch hca_handle=1 to .*rdma\.max: E"):
            cgroup.apply(Resources(rdma={"nosuch": RdmaLimit(hca_handles=1)}))
        tested.append("rdma")
    if not tested:
        pytest.skip("needs cgroup v1 with hugetlb, net_cls, net_prio or rdma")


def test_kernel_memory_is_limited_or_refused(cgroup: Cgroup) -> None:
    cgroup.create()
    with open("/proc/sys/kernel/osrelease", encoding="ascii") as file:
        version = tuple(int(part) for part in file.read().split("-")[0].split(".")[:2])
    if version >= (5, 16):
        with pytest.raises(SeatrialError, match=r"memory\.kmem\.limit_in_bytes: this kernel has no such limit"):
            cgroup.apply(Resources(memory_kernel=16 << 20))
    else:
        cgroup.apply(Resources(memory_kernel=16 << 20))
        assert value(cgroup, "memory", "memory.kmem.limit_in_bytes") == str(16 << 20)
    if os.path.exists(f"{cgroup.paths['memory']}/memory.kmem.tcp.limit_in_bytes"):
        cgroup.apply(Resources(memory_kernel_tcp=16 << 20))
        assert value(cgroup, "memory", "memory.kmem.tcp.limit_in_bytes") == str(16 << 20)


def test_idle_and_shares(cgroup: Cgroup) -> None:
    cgroup.create()
    if not os.path.exists(f"{cgroup.paths['cpu']}/cpu.idle"):
        pytest.skip("needs cpu.idle, Linux 5.15")
    cgroup.apply(Resources(cpu_idle=1, cpu_shares=512))
    assert value(cgroup, "cpu", "cpu.idle") == "1"
    with pytest.raises(SyscallError, match=r"write 512 to .*cpu\.shares: EINVAL"):
        cgroup.apply(Resources(cpu_shares=512))
    cgroup.apply(Resources(cpu_idle=0, cpu_shares=512))
    assert (value(cgroup, "cpu", "cpu.idle"), value(cgroup, "cpu", "cpu.shares")) == ("0", "512")


def test_check_before_update(cgroup: Cgroup) -> None:
    cgroup.create()
    child = Child(cgroup, "x=$(head -c 3000000 /dev/zero | tr '\\0' x); echo grown; read more; echo ${#x}")
    os.write(child.go, b"go\n")
    assert os.read(child.output, 6) == b"grown\n"
    limit = value(cgroup, "memory", "memory.limit_in_bytes")
    with pytest.raises(SeatrialError, match="limit 1048576 is below the usage of"):
        cgroup.apply(Resources(memory_limit=1 << 20, memory_check_before_update=True))
    assert value(cgroup, "memory", "memory.limit_in_bytes") == limit
    cgroup.apply(Resources(memory_limit=64 << 20, memory_check_before_update=True))
    assert value(cgroup, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert child.finish()[1] == "3000000\n"


def test_limits_can_shrink_and_grow(cgroup: Cgroup) -> None:
    cgroup.create()
    for limit, swap in ((64 << 20, 96 << 20), (16 << 20, 20 << 20), (128 << 20, 128 << 20), (-1, None)):
        cgroup.apply(Resources(memory_limit=limit, memory_swap=swap))
    assert int(value(cgroup, "memory", "memory.memsw.limit_in_bytes")) > 1 << 60
    for quota, period in ((100000, 100000), (5000, 5000), (900000, 1000000), (-1, 100000)):
        cgroup.apply(Resources(cpu_quota=quota, cpu_period=period))
    assert value(cgroup, "cpu", "cpu.cfs_quota_us") == "-1"
    cgroup.apply(Resources(pids_limit=-1))
    assert value(cgroup, "pids", "pids.max") == "max"


def test_errors_name_value_and_file(cgroup: Cgroup) -> None:
    cgroup.create()
    with pytest.raises(SyscallError, match=r"^write 7 to .*/cpu\.cfs_period_us: EINVAL"):
        cgroup.apply(Resources(cpu_period=7))
    with pytest.raises(SyscallError, match=r"^write 4096 to .*/cpuset\.cpus: E"):
        cgroup.apply(Resources(cpuset_cpus="4096"))
    with pytest.raises(SeatrialError, match=r"cpu\.shares 1 is out of range"):
        cgroup.apply(Resources(cpu_shares=1))


def test_joining_is_visible_in_every_hierarchy(cgroup: Cgroup) -> None:
    cgroup.create()
    child = Child(cgroup, "cat /proc/self/cgroup")
    assert cgroup.pids() == [child.pid]
    assert cgroup.populated()
    _, text = child.finish()
    paths = {line.split(":", 2)[2] for line in text.splitlines()}
    assert paths == {f"/{TOP}/box"}
    assert not cgroup.populated()


def test_process_is_born_in_every_hierarchy(cgroup: Cgroup) -> None:
    cgroup.create()
    cat = os.open("/bin/cat", os.O_PATH | os.O_CLOEXEC)
    reader, writer = os.pipe()
    tasks, unified = cgroup.tasks(), cgroup.fd()
    _, child = spawn(cat, [b"cat", b"/proc/self/cgroup"], [], [(1, writer)], cgroup_fd=unified, tasks=tasks)
    for fd in (cat, writer, *tasks, *([unified] if unified >= 0 else [])):
        os.close(fd)
    with open(reader, encoding="ascii") as file:
        paths = {line.split(":", 2)[2].strip() for line in file}
    pidfd.wait(child)
    os.close(child)
    assert paths == {f"/{TOP}/box"}


def test_refused_birth_in_a_hierarchy_is_reported(cgroup: Cgroup) -> None:
    cgroup.create()
    with open(f"{cgroup.paths['cpuset']}/cpuset.cpus", "w", encoding="ascii") as file:
        file.write("\n")  # nobody may enter an empty cpuset
    cat = os.open("/bin/cat", os.O_PATH | os.O_CLOEXEC)
    tasks = cgroup.tasks()
    try:
        with pytest.raises(OSError, match="write: No space left on device"):
            spawn(cat, [b"cat"], [], [], tasks=tasks)
    finally:
        for fd in (cat, *tasks):
            os.close(fd)
    assert not cgroup.populated()


def test_new_cpuset_has_its_parents_values(cgroup: Cgroup) -> None:
    cgroup.create()
    top = os.path.dirname(os.path.dirname(cgroup.paths["cpuset"]))
    with open(f"{top}/cpuset.cpus", encoding="ascii") as file:
        assert value(cgroup, "cpuset", "cpuset.cpus") == file.read().strip()
    assert value(cgroup, "cpuset", "cpuset.mems")


def test_pids_limit_holds(cgroup: Cgroup) -> None:
    cgroup.create()
    cgroup.apply(Resources(pids_limit=1))
    end, text = Child(cgroup, "ls / ; echo no").finish()
    assert "ork" in text  # Cannot fork
    assert end.status != 0


def test_memory_limit_kills(cgroup: Cgroup) -> None:
    cgroup.create()
    cgroup.apply(Resources(memory_limit=8 << 20, memory_swap=8 << 20))
    end, text = Child(cgroup, "x=$(head -c 64000000 /dev/zero | tr '\\0' x); echo ${#x}").finish()
    with open(f"{cgroup.paths['memory']}/memory.oom_control", encoding="ascii") as file:
        assert "oom_kill 0\n" not in file.read()
    assert end.status != 0 or "64000000" not in text


def test_device_rules_hold(cgroup: Cgroup) -> None:
    cgroup.create()
    cgroup.apply(Resources(devices=complete_rules([DeviceRule(allow=False)], set())))
    listed = value(cgroup, "devices", "devices.list").splitlines()
    assert "c 1:3 rwm" in listed
    assert "a *:* rwm" not in listed
    _, text = Child(cgroup, "head -c 1 /dev/zero | wc -c; head -c 1 /dev/kmsg; true").finish()
    assert text.startswith("1\n")
    assert "Operation not permitted" in text
    # one device more, then less, then everything
    more = DeviceRule(allow=True, type="c", major=1, minor=11, access="r")
    cgroup.apply(Resources(devices=complete_rules([more], set())))
    assert "c 1:11 r" in value(cgroup, "devices", "devices.list").splitlines()
    cgroup.apply(Resources(devices=complete_rules([DeviceRule(allow=False)], set())))
    assert value(cgroup, "devices", "devices.list").splitlines() == listed
    cgroup.apply(Resources(devices=[DeviceRule(allow=True)]))
    assert value(cgroup, "devices", "devices.list") == "a *:* rwm"


def test_child_cannot_allow_what_its_parent_denies(cgroup: Cgroup) -> None:
    cgroup.create()
    cgroup.apply(Resources(devices=complete_rules([DeviceRule(allow=False)], set())))
    below = from_paths({"devices": cgroup.paths["devices"] + "/below"})
    below.create()
    with pytest.raises(SyscallError) as failed:
        below.apply(Resources(devices=[DeviceRule(allow=False), DeviceRule(allow=True, type="b", major=8, minor=0)]))
    assert failed.value.errno == errno.EPERM
    below.remove()


def test_populated_cgroup_is_refused_and_left_alone(cgroup: Cgroup, hierarchy: Hierarchy) -> None:
    cgroup.create()
    child = Child(cgroup, "echo alive")
    with pytest.raises(StateError, match="not empty"):
        place(f"/{TOP}/box", "other", hierarchy).create()
    with pytest.raises(StateError, match="not empty"):
        place(f"/{TOP}", "other", hierarchy).create()  # the process is below it
    assert child.finish()[1] == "alive\n"


def test_frozen_cgroup_is_refused_and_stays_frozen(cgroup: Cgroup, hierarchy: Hierarchy) -> None:
    cgroup.create()
    cgroup.freeze()
    try:
        assert cgroup.frozen()
        with pytest.raises(StateError, match="frozen"):
            place(f"/{TOP}/box", "id", hierarchy).create()
        inner = place(f"/{TOP}/box/inner", "id", hierarchy)
        with pytest.raises(StateError, match="frozen"):
            inner.create()
        assert not inner.exists()
        assert cgroup.frozen()
    finally:
        cgroup.thaw()
    assert not cgroup.frozen()


@pytest.mark.parametrize("freeze", [False, True], ids=["running", "frozen"])
@pytest.mark.parametrize("unified", [True, False], ids=["hybrid", "v1"])
def test_kill_all_reaches_everybody(cgroup: Cgroup, unified: bool, freeze: bool) -> None:
    if not unified:
        cgroup.paths = {name: path for name, path in cgroup.paths.items() if name}
    cgroup.create()
    child = Child(cgroup, "sleep 100 & sleep 100 & sleep 100")
    os.close(child.go)
    child.go = os.open("/dev/null", os.O_RDONLY)
    while len(cgroup.pids()) < 4:
        os.sched_yield()
    if freeze:
        cgroup.freeze()
    cgroup.kill_all()
    end, _ = child.finish()
    assert end.signal == 9
    assert not cgroup.populated()
    assert not cgroup.frozen()
    cgroup.remove()
    assert not cgroup.exists()
    cgroup.kill_all()  # nobody there: fine
    cgroup.remove()


def test_remove_takes_what_the_container_made(cgroup: Cgroup) -> None:
    cgroup.create()
    for directory in cgroup.directories():
        os.makedirs(f"{directory}/a/b")
    cgroup.remove()
    assert not cgroup.exists()


def test_failed_create_leaves_nothing(cgroup: Cgroup) -> None:
    good = cgroup.paths["memory"]
    cgroup.paths["memory"] = good + "\n"  # the kernel refuses a newline in a name
    try:
        with pytest.raises(SyscallError, match=r"(?s)mkdir .*: EINVAL"):
            cgroup.create()
        assert not any(os.path.isdir(os.path.dirname(path)) for path in cgroup.paths.values())
    finally:
        cgroup.paths["memory"] = good
