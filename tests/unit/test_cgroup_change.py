"""A change of limits is all or nothing: what is written back, and in which order."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from cgroup_files import Recorder, files

from seatrial.runtime.cgroup.v1 import CgroupV1
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.config import DeviceRule, InterfacePriority, RdmaLimit, Resources, ThrottleDevice, WeightDevice
from seatrial.runtime.errors import SyscallError

RDMA = RdmaLimit(hca_handles=3, hca_objects=10000)

def test_failed_change_is_taken_back_in_reverse(unified: CgroupV2, recorder: Recorder) -> None:
    before = {"pids.max": "10", "memory.max": "2000", "memory.low": "0", "cpu.weight": "100", "io.max": "8:0 rbps=9"}
    files(Path(unified.path), before)
    throttle = [ThrottleDevice(major=8, minor=minor, rate=1) for minor in (0, 16)]
    resources = Resources(
        pids_limit=5, memory_limit=1000, memory_reservation=1, cpu_shares=2, blkio_write_bps=throttle, cpuset_mems="3"
    )
    recorder.refuse.append(("cpuset.mems", errno.EINVAL))
    with pytest.raises(SyscallError, match=r"write 3 to .*cpuset\.mems: EINVAL$"):
        unified.change(resources)
    back = [(name, before[name]) for name in ("cpu.weight", "io.max", "memory.low", "memory.max", "pids.max")]
    names = [name for name, _ in recorder.writes]
    assert names == ["pids.max", "memory.max", "memory.low", "io.max", "io.max", "cpu.weight"]
    assert recorder.undone[:1] == back[:1]
    assert recorder.undone[1:3] == [("io.max", "8:16 rbps=max wbps=max riops=max wiops=max"), ("io.max", "8:0 rbps=9")]
    assert recorder.undone[3:] == back[2:]


def test_a_weight_returns_after_idle(unified: CgroupV2, recorder: Recorder) -> None:
    files(Path(unified.path), {"cpu.idle": "0", "cpu.weight": "59"})
    unified.change(Resources(cpu_idle=1)).run()
    assert recorder.undone == [("cpu.idle", "0"), ("cpu.weight", "59")]
    recorder.undone.clear()
    files(Path(unified.path), {"cpu.idle": "1", "cpu.weight": "0"})
    unified.change(Resources(cpu_idle=0, cpu_shares=1024)).run()
    assert recorder.undone == [("cpu.weight", "0"), ("cpu.idle", "1")]


def test_what_cannot_be_taken_back_is_told(unified: CgroupV2, recorder: Recorder) -> None:
    files(Path(unified.path), {"pids.max": "10", "memory.max": "7"})
    recorder.refuse += [("memory.max", errno.EINVAL), ("pids.max back", errno.EBUSY)]
    with pytest.raises(SyscallError, match=r"memory\.max: EINVAL; could not be taken back: .* 10 to .*pids\.max: EB"):
        unified.change(Resources(pids_limit=5, memory_limit=1000))


def test_change_leaves_devices_alone_and_can_be_taken_back_whole(unified: CgroupV2, recorder: Recorder) -> None:
    files(Path(unified.path), {"pids.max": "max", "cpuset.cpus": ""})
    undo = unified.change(Resources(devices=[DeviceRule(allow=False)], pids_limit=5, cpuset_cpus="0"))
    assert recorder.writes == [("pids.max", "5"), ("cpuset.cpus", "0")]
    assert undo.run() == []
    assert recorder.undone == [("cpuset.cpus", "\n"), ("pids.max", "max")]
    assert undo.run() == []
    assert len(recorder.undone) == 2


@pytest.mark.parametrize(
    ("controller", "name", "before", "resources", "back"),
    [
        ("memory", "memory.oom_control", "oom_kill_disable 1\nx 0", {"memory_disable_oom_killer": False}, ["1"]),
        ("net_prio", "net_prio.ifpriomap", "lo 3\neth0 4", {"net_priorities": [("eth0", 9)]}, ["eth0 4"]),
        ("rdma", "rdma.max", "x hca_handle=max hca_object=2", {"rdma": {"x": RDMA}}, ["x hca_handle=max hca_object=2"]),
        ("blkio", "blkio.weight_device", "8:0 70", {"blkio_weight_devices": [(8, 0)]}, ["8:0 70"]),
        ("blkio", "blkio.weight_device", "8:0 70", {"blkio_weight_devices": [(8, 1)]}, ["8:1 default"]),
        ("blkio", "blkio.throttle.read_bps_device", "8:0 7", {"blkio_read_bps": [(8, 1)]}, ["8:1 0"]),
    ],
)
def test_files_with_keys_are_taken_back_by_line(
    tmp_path: Path, recorder: Recorder, controller: str, name: str, before: str, resources: dict[str, Any],
    back: list[str],
) -> None:  # fmt: skip
    makers: dict[str, Any] = {
        "net_priorities": lambda pair: InterfacePriority(name=pair[0], priority=pair[1]),
        "blkio_weight_devices": lambda pair: WeightDevice(major=pair[0], minor=pair[1], weight=10),
        "blkio_read_bps": lambda pair: ThrottleDevice(major=pair[0], minor=pair[1], rate=10),
    }
    given = {key: [makers[key](pair) for pair in value] if key in makers else value for key, value in resources.items()}
    cgroup = CgroupV1({controller: files(tmp_path / controller, {name: before})})
    cgroup.change(Resources(**given)).run()
    assert recorder.undone == [(name, line) for line in back]


def test_unified_files_with_keys_are_taken_back_by_line(unified: CgroupV2, recorder: Recorder) -> None:
    files(Path(unified.path), {"io.max": "8:0 rbps=9\n8:16 wbps=3", "misc.max": "a 1\nb 2", "memory.high": "5"})
    texts = {"io.max": "8:16 wbps=1\n8:32 rbps=2", "misc.max": "b 7", "memory.high": "6"}
    unified.change(Resources(unified=texts)).run()
    assert recorder.undone == [
        ("memory.high", "5"), ("misc.max", "b 2"), ("io.max", "8:32 rbps=max wbps=max riops=max wiops=max"),
        ("io.max", "8:16 wbps=3"),
    ]  # fmt: skip
