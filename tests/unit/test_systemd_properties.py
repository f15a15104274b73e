"""cgroupsPath under --systemd-cgroup, and which unit properties limits, devices and annotations become."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.runtime.cgroup.systemd_path import cgroup_name, expand, unit_for
from seatrial.runtime.cgroup.systemd_properties import INFINITY, annotated, devices, limits, mask, quota_per_second
from seatrial.runtime.config import DeviceRule, Resources
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "user", "expected"),
    [
        (None, False, ("system.slice", "seatrial-c1.scope")),
        (None, True, ("user.slice", "seatrial-c1.scope")),
        ("::", False, ("system.slice", "c1.scope")),
        ("machine.slice:libpod:0a1b", False, ("machine.slice", "libpod-0a1b.scope")),
        ("a-b.slice:cri:x", False, ("a-b.slice", "cri-x.scope")),
        (":cri:", True, ("user.slice", "cri-c1.scope")),
        ("-.slice:p:n", False, ("-.slice", "p-n.scope")),
        (":p:a+b", False, ("system.slice", "p-a\\x2bb.scope")),
    ],
)
def test_unit(path: str | None, user: bool, expected: tuple[str, str]) -> None:
    assert unit_for(path, "c1", user) == expected


@pytest.mark.parametrize(
    "path",
    ["/a/b", "c1", "a:b", "a:b:c:d", "system:p:n", "a/b.slice:p:n", "-a.slice:p:n", "a-.slice:p:n", "a--b.slice:p:n",
     ".slice:p:n", ":p:x.slice", ":p/q:n", ":p:a b", ":p:" + "x" * 300, "a\n.slice:p:n"],
)  # fmt: skip
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"linux\.cgroupsPath"):
        unit_for(path, "c1", False)


def test_slices_expand() -> None:
    assert expand("system.slice") == "system.slice"
    assert expand("a-b-c.slice") == "a.slice/a-b.slice/a-b-c.slice"
    assert expand("-.slice") == ""


def test_names_that_the_kernel_could_take_for_files() -> None:
    names = ("a.scope", "_a.scope", ".a.scope", "memory.scope", "cgroup.x.scope")
    assert [cgroup_name(name) for name in names] == [
        "a.scope", "__a.scope", "_.a.scope", "_memory.scope", "_cgroup.x.scope",
    ]  # fmt: skip


def given(resources: Resources, version: int = 2, systemd: int = 252) -> dict[str, Any]:
    return {name: value for name, (_signature, value) in limits(resources, version, systemd)}


def test_nothing_given_nothing_said() -> None:
    assert given(Resources()) == given(Resources(), 1) == {}


def test_limits_on_v2() -> None:
    assert given(
        Resources(memory_limit=1000, memory_swap=1500, memory_reservation=500, cpu_shares=1024, pids_limit=7)
    ) == {"MemoryMax": 1000, "MemorySwapMax": 500, "MemoryLow": 500, "CPUWeight": 100, "TasksMax": 7}
    assert given(Resources(memory_limit=-1, pids_limit=-1)) == {
        "MemoryMax": INFINITY, "MemorySwapMax": INFINITY, "TasksMax": INFINITY,
    }  # fmt: skip
    assert given(Resources(pids_limit=0)) == {"TasksMax": 1}
    assert given(Resources(cpu_idle=1, cpu_shares=512)) == {"CPUWeight": 0}
    assert given(Resources(cpu_idle=1, cpu_shares=512), systemd=251) == {"CPUWeight": 59}
    assert given(Resources(cpuset_cpus="0-2,9", cpuset_mems="0")) == {
        "AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\x01",
    }  # fmt: skip
    assert given(Resources(cpuset_cpus="0"), systemd=243) == {}


def test_limits_on_v1() -> None:
    assert given(Resources(memory_limit=1000, memory_swap=1500, cpu_shares=512, blkio_weight=100), 1) == {
        "MemoryLimit": 1000, "CPUShares": 512, "BlockIOWeight": 100,
    }  # fmt: skip
    assert given(Resources(unified={"memory.max": "5"}), 1) == {}


def test_quota() -> None:
    assert given(Resources(cpu_quota=12345, cpu_period=100000)) == {
        "CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 130_000,
    }  # fmt: skip
    assert given(Resources(cpu_quota=50000), systemd=241) == {"CPUQuotaPerSecUSec": 500_000}
    assert given(Resources(cpu_quota=-1)) == {"CPUQuotaPerSecUSec": INFINITY}
    assert quota_per_second(10_000, 10_000) == 1_000_000
    assert quota_per_second(10_001, 10_000) == 1_010_000


def test_unified() -> None:
    assert given(
        Resources(
            unified={
                "memory.high": "100", "memory.swap.max": "max", "pids.max": "9", "cpu.max": "max 50000",
                "cpu.weight": "20", "cpuset.cpus": "1", "io.max": "8:0 rbps=1", "memory.oom.group": "1",
                "memory.low": "rubbish",
            }
        )
    ) == {
        "MemoryHigh": 100, "MemorySwapMax": INFINITY, "TasksMax": 9, "CPUQuotaPeriodUSec": 50000,
        "CPUQuotaPerSecUSec": INFINITY, "CPUWeight": 20, "AllowedCPUs": b"\x02",
    }  # fmt: skip
    assert given(Resources(unified={"memory.oom.group": "1"}), systemd=253) == {"OOMPolicy": "kill"}


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "0-99999999", "-1", "1,,x"])
def test_cpusets_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        mask(text)


def test_devices() -> None:
    rules = complete_rules([DeviceRule(type="a", access="rwm", allow=False)], set())
    found = dict(devices(rules))
    assert found["DevicePolicy"] == ("s", "strict")
    allowed = dict(found["DeviceAllow"][1])
    assert allowed["char-*"] == allowed["block-*"] == "m"
    assert allowed["/dev/char/1:3"] == "rwm"
    assert allowed["char-pts"] == "rwm"
    everything = [DeviceRule(type="a", access="rwm", allow=True)]
    for rules in ([], everything, [*everything, DeviceRule(type="c", major=1, minor=3, access="w", allow=False)]):
        assert dict(devices(rules)) == {"DevicePolicy": ("s", "auto"), "DeviceAllow": ("a(ss)", [])}


def test_a_hole_in_a_wildcard_is_left_to_the_program() -> None:
    rules = [
        DeviceRule(type="a", access="rwm", allow=False),
        DeviceRule(type="c", major=1, access="rw", allow=True),
        DeviceRule(type="c", major=1, minor=3, access="w", allow=False),
    ]
    assert dict(devices(rules))["DevicePolicy"] == ("s", "auto")


def test_annotations() -> None:
    prefix = "org.systemd.property."
    assert annotated(
        {
            "other": "x",
            f"{prefix}CollectMode": "'inactive-or-failed'",
            f"{prefix}TimeoutStopSec": "7",
            f"{prefix}RuntimeMaxSec": "1.5",
            f"{prefix}TimeoutStopUSec": "uint64 5",
            f"{prefix}Sec": "'text'",
            f"{prefix}KEYSec": "'capital before it'",
        }
    ) == [
        ("CollectMode", ("s", "inactive-or-failed")),
        ("TimeoutStopUSec", ("t", 7_000_000)),
        ("RuntimeMaxUSec", ("t", 1_500_000)),
        ("TimeoutStopUSec", ("t", 5)),
        ("Sec", ("s", "text")),
        ("KEYSec", ("s", "capital before it")),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ab", "1"), ("A1c", "1"), ("", "1"), ("Größe", "1"), ("Slice", "bare"), ("Slice", ""),
        ("TimeoutStopSec", "'7'"), ("TimeoutStopSec", "true"), ("TimeoutStopSec", "[1]"), ("TimeoutStopSec", "-1"),
        ("TimeoutStopSec", "nan"), ("TimeoutStopSec", "inf"), ("TimeoutStopSec", "uint64 18446744073709551615"),
    ],
)  # fmt: skip
def test_annotations_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        annotated({f"org.systemd.property.{name}": text})
    assert caught.value.path == f"annotations['org.systemd.property.{name}']"
