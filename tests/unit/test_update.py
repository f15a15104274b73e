"""`update`: what its options mean, what is merged with what, and what has to be written for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cgroup_files import files

from seatrial.runtime.cli import update as verb
from seatrial.runtime.cli.options import Options, parse
from seatrial.runtime.config import Cgroup, Config, HugepageLimit, RdmaLimit, Resources, ThrottleDevice, WeightDevice
from seatrial.runtime.errors import ConfigError, SeatrialError, StateError, SyscallError, UsageError
from seatrial.runtime.log import Log
from seatrial.runtime.state import State, StateDirectory
from seatrial.runtime.update import merged, to_write, update


def options(*words: str) -> Options:
    return parse(verb.OPTIONS, [*words, "c1"], interspersed=True)[0]


def test_options_make_a_document() -> None:
    assert verb.block_of(options()) == {}
    assert verb.block_of(
        options(
            "--blkio-weight", "500", "--cpu-period", "100000", "--cpu-quota", "-1", "--cpu-burst=0", "--cpu-share", "2",
            "--cpu-rt-period=5", "--cpu-rt-runtime=6", "--cpuset-cpus", "0-1", "--cpuset-mems", "0", "--cpu-idle", "1",
            "--memory", "64m", "--memory-reservation", "1", "--memory-swap", "-1", "--pids-limit", "-1",
        )
    ) == {
        "blockIO": {"weight": 500},
        "cpu": {
            "period": 100000, "quota": -1, "burst": 0, "shares": 2, "realtimePeriod": 5, "realtimeRuntime": 6,
            "cpus": "0-1", "mems": "0", "idle": 1,
        },
        "memory": {"limit": 64 << 20, "reservation": 1, "swap": -1},
        "pids": {"limit": -1},
    }  # fmt: skip


def test_an_empty_option_is_none() -> None:
    assert verb.block_of(options("--memory", "", "--cpuset-cpus=")) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-1", -1), ("0", 0), ("123", 123), ("5b", 5), ("64k", 64 << 10), ("64K", 64 << 10), ("64kb", 64 << 10),
        ("64KiB", 64 << 10), ("2m", 2 << 20), ("1.5g", 3 << 29), ("3 G", 3 << 30), ("1t", 1 << 40), ("1P", 1 << 50),
        ("0.1k", 102),
    ],
)  # fmt: skip
def test_sizes(text: str, expected: int) -> None:
    assert verb.size("memory", text) == expected


@pytest.mark.parametrize("text", ["x", "-2", "k", "1.k", ".5k", "1e3", "5i", "5ki", "5kk", "5q", "9999999t", "²"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--memory"):
        verb.size("memory", text)


@pytest.mark.parametrize("text", ["x", "-", "1.5", "0x1", "9" * 30])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="--cpu-share takes a number"):
        verb.block_of(options("--cpu-share", text))


def throttle(minor: int, rate: int) -> ThrottleDevice:
    return ThrottleDevice(major=8, minor=minor, rate=rate)


STORED: dict[str, Any] = {
    "memory_limit": 100, "memory_swap": 300, "cpu_shares": 512, "cpu_quota": 5, "cpu_period": 6, "cpuset_cpus": "0",
    "cpu_burst": 1, "cpu_idle": 1, "pids_limit": 9, "blkio_read_bps": [throttle(0, 1), throttle(16, 2)],
    "blkio_weight_devices": [WeightDevice(major=8, minor=0, weight=10, leaf_weight=20)],
    "hugepage_limits": [HugepageLimit(page_size="2MB", limit=5)], "rdma": {"x": RdmaLimit(hca_handles=1)},
    "unified": {"memory.high": "1", "memory.low": "2"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"cpu_quota": 50}, {"cpu_quota": 50}),
        ({"cpu_idle": 0, "cpu_burst": 0}, {"cpu_idle": 0, "cpu_burst": 0}),
        ({"memory_limit": 200}, {"memory_limit": 200}),
        ({"memory_limit": -1}, {"memory_limit": -1, "memory_swap": None}),
        ({"memory_limit": -1, "memory_swap": -1}, {"memory_limit": -1, "memory_swap": -1}),
        ({"blkio_read_bps": [throttle(16, 7)]}, {"blkio_read_bps": [throttle(0, 1), throttle(16, 7)]}),
        (
            {"blkio_weight_devices": [WeightDevice(major=8, minor=0, weight=30)]},
            {"blkio_weight_devices": [WeightDevice(major=8, minor=0, weight=30, leaf_weight=20)]},
        ),
        (
            {"hugepage_limits": [HugepageLimit(page_size="1GB", limit=6)]},
            {"hugepage_limits": [HugepageLimit(page_size="2MB", limit=5), HugepageLimit(page_size="1GB", limit=6)]},
        ),
        ({"unified": {"memory.low": "3"}}, {"unified": {"memory.high": "1", "memory.low": "3"}}),
        ({"memory_check_before_update": True}, {"memory_check_before_update": True}),
    ],
)
def test_what_is_not_given_stays(given: dict[str, Any], changed: dict[str, Any]) -> None:
    stored = Resources(**STORED)
    assert merged(stored, Resources(**given)) == Resources(**(STORED | changed))
    assert stored == Resources(**STORED)


def test_the_check_is_about_one_update() -> None:
    assert not merged(Resources(memory_check_before_update=True), Resources()).memory_check_before_update


@pytest.mark.parametrize(
    ("given", "version", "more"),
    [
        ({"cpu_quota": 50}, 2, {}),
        ({"memory_limit": 200}, 1, {}),
        ({"memory_limit": 200}, 2, {"memory_swap": 300}),
        ({"memory_limit": -1}, 2, {}),
        ({"memory_swap": 200}, 2, {}),
        ({"cpu_idle": 1}, 2, {}),
        ({"cpu_idle": 0}, 1, {"cpu_shares": 512}),
        ({"cpu_idle": 0, "cpu_shares": 2}, 2, {}),
    ],
)
def test_only_what_is_given_is_written_and_what_hangs_on_it(
    given: dict[str, Any], version: int, more: dict[str, Any]
) -> None:
    change = Resources(**given)
    assert to_write(change, merged(Resources(**STORED), change), version) == Resources(**(given | more))


@pytest.mark.parametrize(
    ("given", "version", "more"),
    [
        ({"cpu_quota": 50}, 1, {"cpu_period": 6}),
        ({"cpu_period": 50}, 2, {"cpu_quota": 5}),
        ({"memory_swap": 200}, 2, {"memory_limit": 100}),
        ({"memory_swap": 200}, 1, {}),
        ({"pids_limit": 4}, 2, {}),
    ],
)
def test_systemd_is_told_both_of_a_pair(given: dict[str, Any], version: int, more: dict[str, Any]) -> None:
    change = Resources(**given)
    after = merged(Resources(**STORED), change)
    assert to_write(change, after, version, systemd=True) == Resources(**(given | more))


# -- with a state directory, and plain files as the cgroup


@pytest.fixture
def container(tmp_path: Path) -> Any:
    config = Config(oci_version="1.3.0", bundle="/b", rootfs="/b/r")
    config.cgroups.resources = Resources(memory_limit=1000, pids_limit=7)
    with StateDirectory.reserve(str(tmp_path / "root"), "c1") as directory:
        state = State("c1", config.to_json())
        content = {
            "cgroup.controllers": "memory pids cpu", "memory.max": "1000", "pids.max": "7", "cpu.weight": "100",
            "memory.swap.max": "max",
        }  # fmt: skip
        state.cgroup_paths = {"": files(tmp_path / "box", content)}
        directory.save(state)
        yield directory, state, tmp_path / "box"


def stored(directory: StateDirectory) -> Resources:
    state = directory.load()
    assert state is not None
    return Config.from_json(state.config).cgroups.resources


def test_update_writes_and_saves(container: Any) -> None:
    directory, state, box = container
    after = update(directory, state, Resources(cpu_shares=1024, memory_limit=2000), Log())
    assert (box / "memory.max").read_text() == "2000"
    assert (box / "pids.max").read_text() == "7"
    assert stored(directory) == Resources(memory_limit=2000, pids_limit=7, cpu_shares=1024) == after.cgroups.resources


def test_a_whole_config_forgets_what_it_does_not_have(container: Any) -> None:
    directory, state, box = container
    config = Config.from_json(state.config)
    config.cgroups.resources = Resources(pids_limit=8)
    update(directory, state, config, Log())
    assert (box / "pids.max").read_text() == "8"
    assert (box / "memory.max").read_text() == "1000"
    assert stored(directory) == Resources(pids_limit=8)


def test_a_config_may_differ_in_limits_only(container: Any) -> None:
    directory, state, box = container
    config = Config.from_json(state.config).replace(hostname="other", cgroups=Cgroup(resources=Resources(pids_limit=1)))
    with pytest.raises(UsageError, match="hostname of a container that exists"):
        update(directory, state, config, Log())
    assert (box / "pids.max").read_text() == "7"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pids_limit": 9, "unified": {"nonsense.max": "1"}}, SyscallError),
        ({"pids_limit": 9, "memory_swap": 500}, ConfigError),
        ({"pids_limit": 9, "memory_swappiness": 5}, ConfigError),
    ],
)
def test_failed_update_changes_nothing(container: Any, change: dict[str, Any], error: type[Exception]) -> None:
    directory, state, box = container
    with pytest.raises(error):
        update(directory, state, Resources(**change), Log())
    assert (box / "pids.max").read_text() == "7"
    assert stored(directory) == Resources(memory_limit=1000, pids_limit=7)


def test_limits_go_back_when_the_state_cannot_be_saved(container: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, state, box = container

    def full(_state: State) -> None:
        raise SyscallError("write", "state.json", 28)

    monkeypatch.setattr(directory, "save", full)
    with pytest.raises(SyscallError, match="ENOSPC"):
        update(directory, state, Resources(pids_limit=9), Log())
    assert (box / "pids.max").read_text() == "7"
    assert Config.from_json(state.config).cgroups.resources.pids_limit == 7


def test_device_rules_are_replaced_only_when_they_differ(container: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.runtime.cgroup.v2 import CgroupV2
    from seatrial.runtime.config import DeviceRule

    directory, state, _ = container
    calls: list[Any] = []
    monkeypatch.setattr(CgroupV2, "apply_devices", lambda _self, rules: calls.append(rules))
    rules = [DeviceRule(allow=False)]
    update(directory, state, Resources(devices=rules), Log())
    update(directory, state, Resources(devices=rules, pids_limit=3), Log())
    update(directory, state, Resources(pids_limit=4), Log())
    assert calls == [rules]
    assert stored(directory).devices == rules


def test_no_cgroup_no_limits(container: Any) -> None:
    directory, state, _ = container
    state.cgroup_paths = {}
    with pytest.raises(SeatrialError, match="c1 has no cgroup"):
        update(directory, state, Resources(pids_limit=9), Log())


def test_stopped_container_has_no_limits(tmp_path: Path) -> None:
    from seatrial.runtime.container import Container

    root = str(tmp_path / "root")
    with StateDirectory.reserve(root, "c1") as directory:
        state = State("c1", Config(oci_version="1.3.0", bundle="/b", rootfs="/b/r").to_json())
        state.ready = True
        directory.save(state)
    with Container.load(root, "c1") as container, pytest.raises(StateError, match="c1 is stopped"):
        container.set(Resources(pids_limit=1))


def test_wrong_documents_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.runtime.cli.main import main

    said: list[str] = []
    monkeypatch.setattr("seatrial.runtime.cli.log.Log.error", lambda _self, message: said.append(message))
    file = tmp_path / "limits.json"
    for text, problem in (
        ("{", "update c1: " + str(file) + ": "),
        (json.dumps({"pids": {"limit": "x"}}), "linux.resources.pids.limit: expected"),
        (json.dumps([]), "linux.resources: expected an object"),
        (json.dumps({"memory": {"limit": 5}}), "container c1 does not exist"),
    ):
        file.write_text(text)
        assert main(["--root", str(tmp_path / "none"), "update", "-r", str(file), "c1"]) == 1
        assert problem in said.pop()
    os.unlink(file)
    assert main(["--root", str(tmp_path / "none"), "update", "-r", str(file), "c1"]) == 1
    assert said.pop() == f"update c1: read {file}: ENOENT"
