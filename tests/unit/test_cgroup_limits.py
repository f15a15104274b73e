"""Which values go to which files, in which order: on a directory of plain files, so that no controller is needed."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from cgroup_files import V2_FILES, Recorder, files

from seatrial.runtime.cgroup import v1_memory
from seatrial.runtime.cgroup.v1 import CgroupV1
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.cgroup.v2_cpu import weight
from seatrial.runtime.cgroup.v2_io import io_weight
from seatrial.runtime.cgroup.v2_memory import swap_max
from seatrial.runtime.config import (
    HugepageLimit,
    InterfacePriority,
    RdmaLimit,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from seatrial.runtime.errors import ConfigError, SeatrialError, SyscallError, UnsupportedError


def test_v2_writes_in_order(unified: CgroupV2, recorder: Recorder) -> None:
    unified.apply(
        Resources(
            pids_limit=20, memory_limit=1000, memory_swap=1500, memory_reservation=500, cpu_shares=1024,
            cpu_quota=20000, cpu_period=50000, cpuset_cpus="0-1", cpuset_mems="0", unified={"hugetlb.2MB.max": "0"},
        )
    )  # fmt: skip
    assert recorder.writes == [
        ("pids.max", "20"), ("memory.swap.max", "500"), ("memory.max", "1000"), ("memory.low", "500"),
        ("cpu.weight", "100"), ("cpu.max", "20000 50000"), ("cpuset.cpus", "0-1"), ("cpuset.mems", "0"),
        ("hugetlb.2MB.max", "0"),
    ]  # fmt: skip


def test_v2_nothing_given_nothing_written(unified: CgroupV2, recorder: Recorder) -> None:
    unified.apply(Resources())
    assert recorder.writes == []


@pytest.mark.parametrize(
    ("resources", "written"),
    [
        ({"pids_limit": -1}, [("pids.max", "max")]),
        ({"memory_limit": -1}, [("memory.swap.max", "max"), ("memory.max", "max")]),
        ({"cpu_quota": -1}, [("cpu.max", "max")]),
        ({"cpu_quota": 7000}, [("cpu.max", "7000")]),
        ({"cpu_period": 20000}, [("cpu.max", "50000 20000")]),
        ({"cpu_idle": 1, "cpu_shares": 2}, [("cpu.idle", "1")]),
        ({"memory_limit": 9000, "memory_check_before_update": True}, [("memory.max", "9000")]),
        ({"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2"}}, [("io.max", "8:0 rbps=1"), ("io.max", "8:16 rbps=2")]),
    ],
)
def test_v2_special_values(
    unified: CgroupV2, recorder: Recorder, resources: dict[str, Any], written: list[tuple[str, str]]
) -> None:
    unified.apply(Resources(**resources))
    assert recorder.writes == written


def test_v2_burst_and_quota_find_an_order_that_works(unified: CgroupV2, recorder: Recorder) -> None:
    recorder.refuse.append(("cpu.max.burst", errno.EINVAL))
    unified.apply(Resources(cpu_burst=9000, cpu_quota=10000))
    assert recorder.writes == [("cpu.max", "10000"), ("cpu.max.burst", "9000")]


@pytest.mark.parametrize(
    ("resources", "kind"),
    [
        ({"memory_swappiness": 5}, UnsupportedError),
        ({"memory_disable_oom_killer": True}, UnsupportedError),
        ({"cpu_realtime_period": 5}, UnsupportedError),
        ({"cpu_realtime_runtime": 5}, UnsupportedError),
        ({"memory_kernel": 5}, UnsupportedError),
        ({"memory_kernel_tcp": 5}, UnsupportedError),
        ({"memory_use_hierarchy": False}, UnsupportedError),
        ({"blkio_leaf_weight": 50}, UnsupportedError),
        ({"blkio_weight_devices": [WeightDevice(major=8, minor=0, leaf_weight=50)]}, UnsupportedError),
        ({"net_class_id": 1}, UnsupportedError),
        ({"net_priorities": [InterfacePriority(name="lo", priority=0)]}, UnsupportedError),
        ({"memory_swap": 5}, ConfigError),
        ({"memory_limit": 10, "memory_swap": 5}, ConfigError),
        ({"memory_limit": 4000, "memory_check_before_update": True}, SeatrialError),
        ({"unified": {"../pids.max": "1"}}, ConfigError),
        ({"unified": {"pids": "1"}}, ConfigError),
    ],
)
def test_v2_refuses_before_it_writes(
    unified: CgroupV2, recorder: Recorder, resources: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        unified.apply(Resources(**resources))
    assert recorder.writes == []


def test_v2_missing_controller_is_named(tmp_path: Path) -> None:
    cgroup = CgroupV2({"": files(tmp_path / "box", {"cgroup.controllers": "cpu"})})
    with pytest.raises(SyscallError, match=r"write 5 to .*/pids\.max: ENOENT; the pids controller is not available"):
        cgroup.apply(Resources(pids_limit=5))


@pytest.mark.parametrize(("shares", "expected"), [(0, 1), (2, 1), (1024, 100), (262144, 10000), (10**9, 10000)])
def test_weight_of_shares(shares: int, expected: int) -> None:
    assert weight(shares) == expected


def test_weight_grows_with_shares() -> None:
    weights = [weight(shares) for shares in range(2, 262145, 997)]
    assert weights == sorted(weights)
    assert 1 <= weights[0] <= weights[-1] <= 10000


@pytest.mark.parametrize(
    ("limit", "swap", "expected"),
    [(None, None, None), (5, None, None), (-1, None, -1), (5, 5, 0), (5, 9, 4), (5, -1, -1), (None, -1, -1)],
)
def test_swap_alone(limit: int | None, swap: int | None, expected: int | None) -> None:
    assert swap_max(limit, swap) == expected


def memory(tmp_path: Path, now: str = "1000") -> CgroupV1:
    names = ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control")
    content = dict.fromkeys(names, "") | {"memory.memsw.limit_in_bytes": now}
    return CgroupV1({"memory": files(tmp_path / "memory", content)})


@pytest.mark.parametrize(
    ("limit", "swap", "now", "order"),
    [
        (500, 800, "1000", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
        (1500, 2000, "1000", ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]),
        (1500, -1, "1000", ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]),
        (-1, None, "1000", ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]),
        (500, 800, "9223372036854771712", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
        (None, 800, "1000", ["memory.memsw.limit_in_bytes"]),
    ],
)
def test_v1_memory_and_swap_never_cross(
    tmp_path: Path, recorder: Recorder, limit: int | None, swap: int | None, now: str, order: list[str]
) -> None:
    memory(tmp_path, now).apply(Resources(memory_limit=limit, memory_swap=swap))
    assert [name for name, _ in recorder.writes] == order


def test_v1_period_and_quota_are_tried_again_in_the_other_order(tmp_path: Path, recorder: Recorder) -> None:
    cgroup = CgroupV1({"cpu": files(tmp_path / "cpu", dict.fromkeys(("cpu.cfs_period_us", "cpu.cfs_quota_us"), ""))})
    recorder.refuse.append(("cpu.cfs_period_us", errno.EINVAL))
    cgroup.apply(Resources(cpu_period=1000, cpu_quota=2000))
    assert recorder.writes == [("cpu.cfs_quota_us", "2000"), ("cpu.cfs_period_us", "1000")]


def test_v1_without_the_controller_a_limit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SeatrialError, match="the pids controller is not available"):
        memory(tmp_path).apply(Resources(pids_limit=4))


@pytest.mark.parametrize(("now", "after"), [("0", "1"), ("1", "1"), (None, None)])
def test_v1_use_hierarchy_is_written_where_it_is_off(tmp_path: Path, now: str | None, after: str | None) -> None:
    cgroup = CgroupV1({"memory": files(tmp_path / "memory", {} if now is None else {"memory.use_hierarchy": now})})
    cgroup.apply(Resources(memory_use_hierarchy=True))
    file = tmp_path / "memory" / "memory.use_hierarchy"
    assert (file.read_text() if file.exists() else None) == after


def test_v1_has_no_unified_files(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError):
        memory(tmp_path).apply(Resources(unified={"memory.high": "1"}))


def test_missing_file_is_named(tmp_path: Path) -> None:
    cgroup = CgroupV1({"memory": files(tmp_path / "memory", {"memory.limit_in_bytes": ""})})
    with pytest.raises(SyscallError, match=r"write 10 to .*/memory\.swappiness: ENOENT; this kernel"):
        cgroup.apply(Resources(memory_swappiness=10))


def blkio(tmp_path: Path, prefix: str) -> CgroupV1:
    names = [f"{prefix}weight", f"{prefix}weight_device"]
    names += [f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write") for unit in ("bps", "iops")]
    return CgroupV1({"blkio": files(tmp_path / "blkio", dict.fromkeys(names, ""))})


IO = {
    "blkio_weight": 500,
    "blkio_weight_devices": [WeightDevice(major=8, minor=0, weight=300)],
    "blkio_read_bps": [ThrottleDevice(major=8, minor=0, rate=1000), ThrottleDevice(major=8, minor=16, rate=5)],
    "blkio_write_bps": [ThrottleDevice(major=8, minor=0, rate=2000)],
    "blkio_read_iops": [ThrottleDevice(major=8, minor=16, rate=0)],
    "blkio_write_iops": [ThrottleDevice(major=8, minor=0, rate=7)],
}


@pytest.mark.parametrize("prefix", ["blkio.bfq.", "blkio."])
def test_v1_block_io(tmp_path: Path, recorder: Recorder, prefix: str) -> None:
    blkio(tmp_path, prefix).apply(Resources(**IO))
    assert recorder.writes == [
        (f"{prefix}weight", "500"), (f"{prefix}weight_device", "8:0 300"),
        ("blkio.throttle.read_bps_device", "8:0 1000"), ("blkio.throttle.read_bps_device", "8:16 5"),
        ("blkio.throttle.write_bps_device", "8:0 2000"), ("blkio.throttle.read_iops_device", "8:16 0"),
        ("blkio.throttle.write_iops_device", "8:0 7"),
    ]  # fmt: skip


def test_v1_weight_without_a_scheduler_is_named(tmp_path: Path) -> None:
    cgroup = CgroupV1({"blkio": files(tmp_path / "blkio", {})})
    with pytest.raises(SyscallError, match=r"write 500 to .*/blkio\.weight: ENOENT; no I/O scheduler"):
        cgroup.apply(Resources(blkio_weight=500))
    with pytest.raises(SyscallError, match=r"write 20 to .*/blkio\.leaf_weight: ENOENT; no I/O scheduler"):
        cgroup.apply(Resources(blkio_leaf_weight=20))


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["io.weight"], [("io.weight", "default 4950"), ("io.weight", "8:0 2930")]),
        (["io.bfq.weight"], [("io.bfq.weight", "default 500"), ("io.bfq.weight", "8:0 300")]),
        (
            ["io.weight", "io.bfq.weight"],
            [
                ("io.bfq.weight", "default 500"), ("io.weight", "default 4950"),
                ("io.bfq.weight", "8:0 300"), ("io.weight", "8:0 2930"),
            ],
        ),
    ],
)  # fmt: skip
def test_v2_block_io(tmp_path: Path, recorder: Recorder, names: list[str], weights: list[tuple[str, str]]) -> None:
    content = {"cgroup.controllers": "io", "io.max": "", **dict.fromkeys(names, "")}
    CgroupV2({"": files(tmp_path / "box", content)}).apply(Resources(**IO))
    assert recorder.writes == [
        *weights, ("io.max", "8:0 rbps=1000 wbps=2000 wiops=7"), ("io.max", "8:16 rbps=5 riops=max"),
    ]  # fmt: skip


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (100, 910), (500, 4950), (1000, 10000)])
def test_io_weight_is_a_line_through_the_ends(weight: int, expected: int) -> None:
    assert io_weight(weight) == expected


HUGE = [HugepageLimit(page_size="2MB", limit=4 << 20)]


@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_hugepages_are_limited_twice_where_reservations_count(
    tmp_path: Path, recorder: Recorder, version: int, reserved: bool
) -> None:
    suffix = "limit_in_bytes" if version == 1 else "max"
    names = [f"hugetlb.2MB.{suffix}"] + ([f"hugetlb.2MB.rsvd.{suffix}"] if reserved else [])
    directory = files(tmp_path / "box", {"cgroup.controllers": "hugetlb", **dict.fromkeys(names, "")})
    cgroup = CgroupV1({"hugetlb": directory}) if version == 1 else CgroupV2({"": directory})
    cgroup.apply(Resources(hugepage_limits=HUGE))
    assert recorder.writes == [(name, str(4 << 20)) for name in names]


def test_unknown_page_size_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    cgroup = CgroupV1({"hugetlb": files(tmp_path / "h", {"hugetlb.2MB.usage": "", "hugetlb.1GB.rsvd.usage": ""})})
    with pytest.raises(SyscallError, match=r"hugetlb\.64KB\.limit_in_bytes: ENOENT; .* of 1GB and 2MB"):
        cgroup.apply(Resources(hugepage_limits=[HugepageLimit(page_size="64KB", limit=1)]))


@pytest.mark.parametrize("controller", ["hugetlb", "rdma"])
def test_v2_controller_that_is_not_to_be_had_is_named(tmp_path: Path, controller: str) -> None:
    cgroup = CgroupV2({"": files(tmp_path / "box", {"cgroup.controllers": "cpu"})})
    limit: dict[str, Any] = {"hugepage_limits": HUGE} if controller == "hugetlb" else {"rdma": {"x": RDMA}}
    with pytest.raises(SeatrialError, match=f"the {controller} controller is not available"):
        cgroup.apply(Resources(**limit))


def test_v1_network(tmp_path: Path, recorder: Recorder) -> None:
    paths = {
        "net_cls": files(tmp_path / "cls", {"net_cls.classid": "0"}),
        "net_prio": files(tmp_path / "prio", {"net_prio.ifpriomap": "lo 0\neth0 0"}),
    }
    priorities = [InterfacePriority(name="lo", priority=5), InterfacePriority(name="eth0", priority=0)]
    CgroupV1(paths).apply(Resources(net_class_id=0x100001, net_priorities=priorities))
    assert recorder.writes == [
        ("net_cls.classid", "1048577"), ("net_prio.ifpriomap", "lo 5"), ("net_prio.ifpriomap", "eth0 0"),
    ]  # fmt: skip


RDMA = RdmaLimit(hca_handles=3, hca_objects=10000)


@pytest.mark.parametrize("version", [1, 2])
def test_rdma_devices_have_a_line_each(tmp_path: Path, recorder: Recorder, version: int) -> None:
    directory = files(tmp_path / "box", {"cgroup.controllers": "rdma", "rdma.max": ""})
    cgroup = CgroupV1({"rdma": directory}) if version == 1 else CgroupV2({"": directory})
    cgroup.apply(Resources(rdma={"mlx5_1": RDMA, "mlx4_0": RdmaLimit(hca_objects=0)}))
    assert recorder.writes == [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"), ("rdma.max", "mlx4_0 hca_object=0"),
    ]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("resources", "written"),
    [
        ({"cpu_idle": 1, "cpu_shares": 512}, ["cpu.idle"]),
        ({"cpu_idle": 0, "cpu_shares": 512}, ["cpu.idle", "cpu.weight"]),
        ({"cpu_shares": 512}, ["cpu.weight"]),
    ],
)
def test_idle_comes_before_the_weight(
    tmp_path: Path, recorder: Recorder, version: int, resources: dict[str, Any], written: list[str]
) -> None:
    cgroup: Any = CgroupV1({"cpu": files(tmp_path / "cpu", {"cpu.idle": "", "cpu.shares": ""})})
    if version == 2:
        cgroup = CgroupV2({"": files(tmp_path / "box", V2_FILES)})
    cgroup.apply(Resources(**resources))
    assert [name.replace("shares", "weight") for name, _ in recorder.writes] == written


@pytest.mark.parametrize("value", [True, False])
def test_v1_kernel_memory_and_check_before_update(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, value: bool
) -> None:
    content = {
        "memory.kmem.limit_in_bytes": "", "memory.kmem.tcp.limit_in_bytes": "", "memory.limit_in_bytes": "",
        "memory.usage_in_bytes": "5000",
    }  # fmt: skip
    cgroup = CgroupV1({"memory": files(tmp_path / "memory", content)})
    cgroup.apply(Resources(memory_kernel=5, memory_kernel_tcp=-1))
    assert recorder.writes == [("memory.kmem.limit_in_bytes", "5"), ("memory.kmem.tcp.limit_in_bytes", "-1")]
    recorder.writes.clear()
    unlimited = str((1 << 63) - 4096)
    monkeypatch.setattr(v1_memory, "read", lambda _directory, name: "5000" if "usage" in name else unlimited)
    with pytest.raises(SeatrialError, match=r"write 5 to .*kmem\.limit_in_bytes: this kernel has no such limit"):
        cgroup.apply(Resources(memory_kernel=5))
    recorder.writes.clear()
    resources = Resources(memory_limit=4000, memory_check_before_update=value)
    if value:
        with pytest.raises(SeatrialError, match="limit 4000 is below the usage of 5000 bytes"):
            cgroup.apply(resources)
    else:
        cgroup.apply(resources)
    assert recorder.writes == ([] if value else [("memory.limit_in_bytes", "4000")])


@pytest.mark.parametrize(
    ("limit", "swap", "on", "fine"),
    [(100, -1, True, True), (100, 100, False, True), (100, 100, True, False), (100, 200, False, False)],
)
@pytest.mark.parametrize("version", [1, 2])
def test_without_accounting_of_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, limit: int, swap: int, on: bool, fine: bool
) -> None:
    monkeypatch.setattr("seatrial.runtime.cgroup.v1_memory.swap_is_on", lambda: on)
    cgroup: Any = CgroupV1({"memory": files(tmp_path / "memory", {"memory.limit_in_bytes": ""})})
    if version == 2:
        cgroup = CgroupV2({"": files(tmp_path / "box", {"cgroup.controllers": "memory", "memory.max": "max"})})
    resources = Resources(memory_limit=limit, memory_swap=swap)
    if fine:
        cgroup.apply(resources)
    else:
        with pytest.raises(SyscallError, match=r"memory\..*sw.*: ENOENT"):
            cgroup.apply(resources)


def test_v2_swap_alone_is_converted_with_the_limit_that_is_there(unified: CgroupV2, recorder: Recorder) -> None:
    files(Path(unified.path), {"memory.max": "1000"})
    unified.apply(Resources(memory_swap=1500))
    assert recorder.writes == [("memory.swap.max", "500")]
