"""config-linux.md#cpu: which CPUs and memory nodes the container may use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import put, versions
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.checks import accepted

Make = Callable[[], Bundle]
Reader = Callable[..., Report]
Rejected = Callable[..., Result]
LIST = re.compile(r"^\d+(-\d+)?(,\d+(-\d+)?)*$")


def numbers(text: str) -> set[int]:
    """The set that a list such as `0-2,7` stands for (cpuset(7), List Format)."""
    found: set[int] = set()
    for item in text.split(",") if LIST.match(text) else ():
        low, _, high = item.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


def allowed(field: str) -> set[int]:
    """Cpus_allowed_list or Mems_allowed_list of the harness (proc_pid_status(5))."""
    with open("/proc/self/status", encoding="ascii") as file:
        found = re.search(rf"^{field}:\s*(\S+)", file.read(), re.MULTILINE)
    return numbers(found.group(1)) if found else {0}


def cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))


CPUS = ("cpu/8",)
MEMS = ("cpu/9",)


@needs("smp")
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("v2", versions("cpuset", v1=CPUS, v2=("unified/11",)))
def test_cpus(bundle: Bundle, report: Reader, which: int, v2: bool) -> None:
    """cpu.cpus are the CPUs of the container (config-linux.md#cpu)."""
    one = cpus()[which]
    found = report(put(bundle, {"cpu.cpus": str(one)}))
    assert found["affinity"] == [one]


@pytest.mark.parametrize("v2", versions("cpuset", v1=CPUS, v2=("unified/11",)))
def test_cpus_in_the_cgroup(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """cpuset.cpus is cpu.cpus (config-linux.md#cpu)."""
    container = runtime.create(put(bundle, {"cpu.cpus": str(cpus()[-1])}))
    assert numbers(control_files.value(container, "cpuset.cpus")) == {cpus()[-1]}


@pytest.mark.parametrize("v2", versions("cpuset", v1=MEMS, v2=("unified/12",)))
def test_mems(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """cpuset.mems is cpu.mems, and the process may use these nodes (config-linux.md#cpu)."""
    node = max(allowed("Mems_allowed_list"))
    bundle.probe("read /proc/self/status", report=False)
    container = runtime.create(put(bundle, {"cpu.mems": str(node)}))
    assert numbers(control_files.value(container, "cpuset.mems")) == {node}
    container.start()
    assert f"Mems_allowed_list:\\t{node}\\n" in container.wait_output("Mems_allowed_list")


@pytest.mark.parametrize("v2", versions("cpuset", v1=("cpu/1",), v2=("cpu/1",)))
def test_cpuset_may_be_left_out(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Without cpus and mems the container has those of the cgroup above it (config-linux.md#cpu)."""
    container = runtime.create(bundle)
    directory = control_files.directory_of(container, "cpuset")
    for kind in ("cpus", "mems"):
        name = f"cpuset.{kind}.effective" if v2 else f"cpuset.effective_{kind}"
        assert numbers(control_files.read(directory, name)) == numbers(control_files.read(f"{directory}/..", name))


@needs("smp")
@pytest.mark.parametrize("form", ["range", "list"])
@pytest.mark.parametrize("v2", versions("cpuset", v1=("cpu/14",), v2=("cpu/14",)))
def test_list_format(runtime: Runtime, bundle: Bundle, form: str, v2: bool) -> None:
    """CPUs are given as numbers, ranges and lists of both (config-linux.md#cpu)."""
    low, high = cpus()[0], cpus()[1]
    text = {"range": f"{low}-{high}", "list": f"{low}-{low},{high}"}[form]
    if not numbers(text) <= set(cpus()):
        pytest.skip("the first two CPUs are no neighbours")
    container = runtime.create(put(bundle, {"cpu.cpus": text, "cpu.mems": str(min(allowed("Mems_allowed_list")))}))
    assert numbers(control_files.value(container, "cpuset.cpus")) == numbers(text)


@needs("root", "cgroup:cpuset")
@pytest.mark.parametrize("member", ["cpus", "mems"])
@covers("config-linux/cpu/14")
def test_bad_list_is_an_error(runtime: Runtime, make_bundle: Make, rejected: Rejected, member: str) -> None:
    """What is no list, and numbers that this host does not have, are refused (config-linux.md#cpu)."""
    good = str(cpus()[0] if member == "cpus" else min(allowed("Mems_allowed_list")))
    accepted(runtime, put(make_bundle(), {f"cpu.{member}": good}))
    for text in ("a", "3-1", "0-9999"):
        rejected(runtime, put(make_bundle(), {f"cpu.{member}": text}))


@needs("root", "cgroup:cpuset")
@pytest.mark.parametrize("text", ["all", "0-0:1/1"])
@covers("config-linux/cpu/14", "config/valid-values/1")
def test_list_in_a_form_of_the_kernels_own(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, text: str
) -> None:
    """A list has numbers, commas and dashes; the further forms that newer kernels read (5.8, 5.13) are none."""
    rejected(runtime, put(bundle, {"cpu.cpus": text}), control=put(make_bundle(), {"cpu.cpus": "0-0"}))
