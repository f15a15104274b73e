"""Which values go to which files, in which order: on a directory of plain files, so that no controller is needed."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from seatrial.runtime.cgroup import v1, v2
from seatrial.runtime.cgroup.files import write as real_write
from seatrial.runtime.cgroup.v1 import CgroupV1
from seatrial.runtime.cgroup.v2 import CgroupV2, swap_max, weight
from seatrial.runtime.config import Resources
from seatrial.runtime.errors import ConfigError, SeatrialError, SyscallError, UnsupportedError

V2_FILES = {
    "cgroup.controllers": "cpu cpuset memory pids hugetlb", "cpu.max": "50000 100000", "memory.current": "5000",
    "cpu.weight": "", "cpu.idle": "", "cpu.max.burst": "", "memory.max": "", "memory.low": "", "memory.swap.max": "",
    "pids.max": "", "cpuset.cpus": "", "cpuset.mems": "", "io.max": "", "hugetlb.2MB.max": "",
}  # fmt: skip


class Recorder:
    """In place of files.write: remembers (file, value), and refuses as told, as the kernel would."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self.refuse: list[tuple[str, int]] = []

    def __call__(self, directory: str, name: str, value: Any, hint: str = "") -> None:
        if (name, errno.EINVAL) in self.refuse:
            self.refuse.remove((name, errno.EINVAL))
            raise SyscallError("write", f"{value} to {directory}/{name}", errno.EINVAL)
        real_write(directory, name, value, hint)
        self.writes.append((name, str(value)))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(v1, "write", recorder)
    monkeypatch.setattr(v2, "write", recorder)
    return recorder


def files(directory: Path, content: dict[str, str]) -> str:
    directory.mkdir(exist_ok=True)
    for name, text in content.items():
        (directory / name).write_text(text)
    return str(directory)


@pytest.fixture
def unified(tmp_path: Path) -> CgroupV2:
    return CgroupV2({"": files(tmp_path / "box", V2_FILES)})


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
