"""`events --stats` and the kernel: what engines show of a container is what its control files say.  runc's practice.

The container is paused, so that nothing in it moves between the two looks; what moves all the same may be as it was
before or as it was afterwards.  runc leaves out what is zero or empty.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups.control_files import directories_of
from seatrial.conformance.cases.pause.activity import SECONDS, below, computing, wait_moving
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.patience import patience

SECTIONS = {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}
TICKS = os.sysconf("SC_CLK_TCK")
CPUSET_FLAGS = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip
# What runc does not leave out when it is zero.
ALWAYS = {
    "cpu": ("usage.user", "usage.kernel"),
    "cpuset": CPUSET_FLAGS,
    "memory": tuple(
        f"{name}.{key}" for name in ("usage", "swap", "kernel", "kernelTCP") for key in ("limit", "failcnt")
    ),
}
PRESSURE = {"avg10", "avg60", "avg300", "total"}

Section = Callable[[dict[str, str]], dict[str, Any]]


def text(directory: str, name: str) -> str:
    """A control file; "" where there is none."""
    try:
        with open(os.path.join(directory, name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def number(directory: str, name: str) -> int:
    """A control file with a number; 0 for "max", or where there is no such file."""
    found = text(directory, name)
    return int(found) if found.lstrip("-").isdigit() else 0


def flat(directory: str, name: str) -> dict[str, int]:
    """A flat keyed control file."""
    return {key: int(value) for key, _, value in (line.partition(" ") for line in text(directory, name).splitlines())}


def listed(ranges: str) -> list[int]:
    """0-2,5 as numbers."""
    parts = [part.partition("-") for part in ranges.split(",") if part]
    return [number for first, _, last in parts for number in range(int(first), int(last or first) + 1)]


def cpu(where: dict[str, str]) -> dict[str, Any]:
    """cpuacct.rst: nanoseconds, ticks, nanoseconds by CPU; cpu.stat."""
    usage, stat = where["cpuacct"], flat(where["cpu"], "cpu.stat")
    ticks = flat(usage, "cpuacct.stat")
    rows = [line.split() for line in text(usage, "cpuacct.usage_all").splitlines()[1:]]
    return {
        "usage.total": number(usage, "cpuacct.usage"),
        "usage.percpu": [int(word) for word in text(usage, "cpuacct.usage_percpu").split()],
        "usage.percpu_user": [int(user) for _, user, _ in rows],
        "usage.percpu_kernel": [int(kernel) for _, _, kernel in rows],
        "usage.user": ticks["user"] * 10**9 // TICKS,
        "usage.kernel": ticks["system"] * 10**9 // TICKS,
        "throttling.periods": stat["nr_periods"],
        "throttling.throttledPeriods": stat["nr_throttled"],
        "throttling.throttledTime": stat["throttled_time"],
    }


def memory(where: dict[str, str]) -> dict[str, Any]:
    """memory.rst: four counters with four files each, zero where this kernel does not have them, and memory.stat."""
    directory = where["memory"]
    raw = flat(directory, "memory.stat")
    found: dict[str, Any] = {"cache": raw["cache"], "raw": raw}
    for prefix, member in (("", "usage"), (".memsw", "swap"), (".kmem", "kernel"), (".kmem.tcp", "kernelTCP")):
        files = {
            "usage": "usage_in_bytes",
            "max": "max_usage_in_bytes",
            "limit": "limit_in_bytes",
            "failcnt": "failcnt",
        }
        for name, file in files.items():
            found[f"{member}.{name}"] = number(directory, f"memory{prefix}.{file}")
    return found


def cpuset(where: dict[str, str]) -> dict[str, Any]:
    """cpusets.rst."""
    directory = where["cpuset"]
    found: dict[str, Any] = {name: number(directory, f"cpuset.{name}") for name in CPUSET_FLAGS}
    return found | {name: listed(text(directory, f"cpuset.{name}")) for name in ("cpus", "mems")}


def pids(where: dict[str, str]) -> dict[str, Any]:
    """pids.rst."""
    directory = where.get("pids", where.get("", ""))
    return {"current": number(directory, "pids.current"), "limit": number(directory, "pids.max")}


def data_of(runtime: Runtime, id: str) -> dict[str, Any]:
    """The member `data` of one event."""
    event = json.loads(runtime.command("events", "--stats", id).check().stdout)
    data = event["data"]
    assert isinstance(data, dict)
    return data


def member(section: dict[str, Any], path: str, like: Any) -> Any:
    """section["a"]["b"] for "a.b"; the zero of its kind where it is left out."""
    *outer, last = path.split(".")
    for name in outer:
        section = section[name]
    return section.get(last, type(like)())


def there(section: dict[str, Any], path: str) -> bool:
    """Whether section["a"]["b"] is there, for "a.b"."""
    *outer, last = path.split(".")
    for name in outer:
        section = section[name]
    return last in section


def wait_throttled(directory: str) -> None:
    """Until the quota of a v1 cpu cgroup has been used up once, so that there is something to count."""
    deadline = time.monotonic() + patience(SECONDS)
    while flat(directory, "cpu.stat").get("nr_throttled") == 0 and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.fixture
def paused(runtime: Runtime, bundle: Bundle) -> Iterator[str]:
    """A paused container with a child that has computed, limits, and time without a share of the processor."""
    resources = bundle.config["linux"].setdefault("resources", {})
    controllers = cgroups.read_view().controllers()
    if "pids" in controllers:
        resources["pids"] = {"limit": 64}
    if "cpu" in controllers:
        resources["cpu"] = {"period": 10000, "quota": 5000}
    if "memory" in controllers:
        resources["memory"] = {"limit": 256 << 20}
    container = computing(runtime, bundle)
    wait_moving(below(container.pid))
    wait_throttled(directories_of(container).get("cpu", ""))
    runtime.command("pause", container.id).check()
    yield container.id
    runtime.command("resume", container.id).check()


@pytest.mark.parametrize(
    ("name", "section"),
    [
        pytest.param("cpu", cpu, marks=needs("cgroup1", "cgroup:cpu", "cgroup:cpuacct"), id="cpu"),
        pytest.param("memory", memory, marks=needs("cgroup1", "cgroup:memory"), id="memory"),
        pytest.param("cpuset", cpuset, marks=needs("cgroup1", "cgroup:cpuset"), id="cpuset"),
        pytest.param("pids", pids, marks=needs("cgroup:pids"), id="pids"),
    ],
)
@needs("command:events", "command:pause")
@profile("runc-compat")
@covers("runtime/state/10")
def test_statistics_are_the_kernels(runtime: Runtime, paused: str, name: str, section: Section) -> None:
    """Each member is what the control file says, before or after."""
    where = directories_of(runtime.containers[-1])
    before = section(where)
    found = data_of(runtime, paused)[name]
    after = section(where)
    wrong = {
        path: (member(found, path, value), value)
        for path, value in before.items()
        if member(found, path, value) not in (value, after[path])
    }
    assert wrong == {}
    assert [path for path in ALWAYS.get(name, ()) if not there(found, path)] == []


@needs("command:events", "command:pause")
@profile("runc-compat")
@covers("runtime/state/10")
def test_statistics_have_every_section(runtime: Runtime, paused: str) -> None:
    """The sections of runc's structure are there on every host, and the two that nobody asked for are empty."""
    data = data_of(runtime, paused)
    assert set(data) >= SECTIONS
    assert not data["intel_rdt"]
    assert not data["network_interfaces"]
    assert {name: type(data[name]) for name in ("blkio", "hugetlb")} == {"blkio": dict, "hugetlb": dict}


@needs("command:events", "command:pause")
@profile("runc-compat")
@covers("runtime/state/10")
def test_pressure_is_the_kernels(runtime: Runtime, paused: str) -> None:
    """Pressure stall information, where the runtime tells it: both lines of the control file, each with its four
    numbers.  A paused container's total stands still."""
    directory = directories_of(runtime.containers[-1]).get("", "")
    before = {name: pressure(directory, name) for name in ("cpu", "memory", "io")}
    data = data_of(runtime, paused)
    after = {name: pressure(directory, name) for name in ("cpu", "memory", "io")}
    for section, name in (("cpu", "cpu"), ("memory", "memory"), ("blkio", "io")):
        psi = data[section].get("psi")
        if psi is None:
            continue
        assert set(psi) == {"some", "full"}
        for line in ("some", "full"):
            assert set(psi[line]) == PRESSURE
            for key in PRESSURE:
                low, high = sorted((before[name][line][key], after[name][line][key]))
                assert low <= psi[line][key] <= high, f"{section} {line} {key}"


def pressure(directory: str, name: str) -> dict[str, dict[str, float]]:
    """PSI (accounting/psi.rst) of a v2 cgroup: line -> key -> number; zeros where there is none."""
    found = {line: dict.fromkeys(PRESSURE, 0.0) for line in ("some", "full")}
    for row in text(directory, f"{name}.pressure").splitlines() if directory else ():
        line, *pairs = row.split()
        found[line] = {key: float(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    return found


@needs("command:events", "command:pause", "hugetlb")
@profile("runc-compat")
@covers("runtime/state/10")
def test_huge_pages_are_the_kernels(runtime: Runtime, paused: str) -> None:
    """Every size, with usage, maximum and failures, of reservations or of what was faulted in (hugetlb.rst)."""
    where = directories_of(runtime.containers[-1])
    directory = where.get("hugetlb", where.get("", ""))
    sizes = {name.split(".")[1] for name in os.listdir(directory) if name.startswith("hugetlb.")}
    data = data_of(runtime, paused)["hugetlb"]
    assert set(data) == sizes
    for size in sizes:
        for key, value in data[size].items():
            files = {"usage": ("current", "usage_in_bytes"), "max": ("max_usage_in_bytes",)}.get(key, ("failcnt",))
            allowed = {number(directory, f"hugetlb.{size}{kind}.{file}") for file in files for kind in ("", ".rsvd")}
            assert value in allowed, f"{size} {key}"
        assert "failcnt" in data[size]
