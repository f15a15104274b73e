"""config-linux.md#unified: files of cgroup v2 by their names, and members that v2 cannot have.

The conversions of memory, cpu, cpuset and pids are in the cases about these members.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.control_files import controller_of
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

Make = Callable[[], Bundle]
Reader = Callable[..., Report]
Rejected = Callable[..., Result]
ROW = "config-linux/unified/"
VERSION = "1.1.0"  # of the spec that introduced unified

KNOWN = {
    "memory.high": str(64 << 20),
    "memory.max": str(96 << 20),
    "pids.max": "37",
    "cpu.max": "20000 50000",
    "cpu.weight": "77",
    "cpuset.cpus": "0",
    "hugetlb.2MB.max": str(8 << 20),
}
UNKNOWN = {
    "cgroup.max.depth": "7",
    "cgroup.max.descendants": "9",
    "memory.oom.group": "1",
    "cpu.uclamp.max": "50.00",
    "hugetlb.2MB.rsvd.max": str(8 << 20),
}


def files(texts: dict[str, str], row: str) -> list[Any]:
    """(name, text) with the controller that the file needs."""
    found = []
    for name, text in texts.items():
        controller = controller_of(name)
        words = [] if controller == "cgroup" else [f"cgroup:{controller}"]
        found.append(pytest.param(name, text, id=name, marks=[covers(ROW + row), needs("root", "cgroup2", *words)]))
    return found


def unified(bundle: Bundle, texts: dict[str, Any]) -> Bundle:
    """Set linux.resources.unified."""
    bundle.linux["resources"]["unified"] = texts
    bundle.config["ociVersion"] = VERSION
    return bundle


@pytest.mark.parametrize(("name", "text"), files(KNOWN, "1") + files(UNKNOWN, "3"))
def test_file_is_written(runtime: Runtime, make_bundle: Make, name: str, text: str) -> None:
    """A key is a file of the container's cgroup, known to the runtime or not (config-linux.md#unified)."""
    runtime.prove_sane()
    container = runtime.create(unified(make_bundle(), {name: text}), check=False)
    if not container.created.ok:
        plain = control_files.directory_of(runtime.create(make_bundle()), controller_of(name))
        if not os.path.exists(os.path.join(plain, name)):
            pytest.skip(f"the kernel has no {name}")
        container.created.check()
    assert control_files.value(container, name) == text


@needs("root", "cgroup2", "cgroup:pids")
@covers(ROW + "1")
def test_unified_wins_over_the_converted_member(runtime: Runtime, bundle: Bundle) -> None:
    """Where both say something, unified holds (config-linux.md#unified)."""
    container = runtime.create(unified(put(bundle, {"pids.limit": 50}), {"pids.max": "37"}))
    assert control_files.value(container, "pids.max") == "37"


@needs("root", "cgroup2")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("cpuset.cpus", "0", id="cpuset", marks=needs("cgroup:cpuset")),
        pytest.param("hugetlb.2MB.max", str(8 << 20), id="hugetlb", marks=needs("cgroup:hugetlb")),
    ],
)
@covers(ROW + "2")
def test_controller_is_enabled(runtime: Runtime, bundle: Bundle, name: str, text: str) -> None:
    """The controller of a key is enabled on the way to the container's cgroup (config-linux.md#unified)."""
    bundle.linux["cgroupsPath"] = f"/{bundle.name}/a/b"  # the new levels have no controller enabled
    container = runtime.create(unified(bundle, {name: text}))
    assert controller_of(name) in control_files.value(container, "cgroup.controllers").split()
    assert control_files.value(container, name) == text


@needs("root", "cgroup2")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("nosuch.max", id="no such controller"),
        pytest.param("cgroup.nosuch", id="no such file"),
        pytest.param("memory.nosuch", id="no such memory file"),
        pytest.param("foo", id="no file name"),
        pytest.param("../{}.max", id="path"),
    ],
)
@covers(ROW + "4")
def test_missing_controller_is_an_error(runtime: Runtime, make_bundle: Make, rejected: Rejected, name: str) -> None:
    """A key whose controller or file is not there is refused (config-linux.md#unified)."""
    bundle = make_bundle()
    control = unified(make_bundle(), {"cgroup.max.depth": "7"})
    rejected(runtime, unified(bundle, {name.replace("{}", bundle.name): "1"}), control=control)


@needs("root", "cgroup2", "cgroup:hugetlb")
@covers(ROW + "20")
def test_hugepage_limits_are_converted_or_refused(runtime: Runtime, bundle: Bundle) -> None:
    """hugepageLimits is hugetlb.SIZE.max, or an error (config-linux.md#unified)."""
    view = cgroups.read_view()
    size = "2MB"
    if not os.path.exists("/sys/kernel/mm/hugepages/hugepages-2048kB") or view.v2 is None:
        pytest.skip("the kernel has no huge pages of 2 MB")
    runtime.prove_sane()
    bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 8 << 20}]
    container = runtime.create(bundle, check=False)
    if container.created.ok:
        assert control_files.value(container, f"hugetlb.{size}.max") == str(8 << 20)
    else:
        assert not container.created.crashed, container.created.describe()
        assert not runtime.state(container.id).ok


@needs("root", "cgroup2")
@covers(ROW + "23")
def test_devices_are_converted(bundle: Bundle, report: Reader) -> None:
    """Device rules hold on v2, where the kernel has no files for them (config-linux.md#unified)."""
    node = os.path.join(bundle.rootfs, "node")
    os.mknod(node, 0o020666, os.makedev(10, 237))
    bundle.linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "r"},
    ]
    found = report(bundle.probe("open /node rdonly -- open /node wronly"))
    assert [verb.errno for verb in found.verbs] == [None, "EPERM"]


WITHOUT_COUNTERPART: dict[str, dict[str, Any]] = {
    "24": {"memory.kernel": 16 << 20},
    "25": {"memory.kernelTCP": 16 << 20},
    "26": {"memory.swappiness": 37},
    "27": {"memory.disableOOMKiller": True},
    "28": {"cpu.realtimeRuntime": 1000, "cpu.realtimePeriod": 500000},
    "29": {"blockIO.leafWeight": 100},
    "30": {"network.classID": 0x100001},
    "31": {"network.priorities": [{"name": "lo", "priority": 1}]},
}


@profile("spec")
@needs("root", "cgroup2")
@pytest.mark.parametrize(
    "members",
    [pytest.param(entry, id=min(entry), marks=covers(ROW + row)) for row, entry in WITHOUT_COUNTERPART.items()],
)
def test_member_without_counterpart_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, members: dict[str, Any]
) -> None:
    """What v2 has no counterpart of is refused, not dropped (config-linux.md#unified).  Engines still send some of
    these, and runtimes drop them: practice is the other way."""
    rejected(runtime, put(bundle, members, VERSION))
