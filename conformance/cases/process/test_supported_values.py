"""What runtimes of runtime-spec 1.1 do with process.scheduler and process.ioPriority: they apply them.

The specification lets a runtime refuse a value that it does not support, so the cases of test_scheduler.py are skipped
for one that refuses.  runc since 1.2 and crun since 1.9 refuse none that the kernel takes: practice, asked of who says
that it knows version 1.1.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import documented, held
from seatrial.conformance.cases.features.members import find
from seatrial.conformance.cases.process.test_scheduler import NUMBERS, realtime, scheduler
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report, parse

pytestmark = [needs("root", "features"), profile("runc-compat")]
Reader = Callable[..., Report]
ROW = "config/linux-process/"
TIMES = {"runtime": 42000, "deadline": 900000, "period": 1000000}  # ns


@pytest.fixture(autouse=True)
def version(runtime: Runtime) -> None:
    """Skips for a runtime that does not know version 1.1."""
    known = str(find(runtime.features(), "ociVersionMax") or "0")
    if tuple(int(part) for part in known.partition("-")[0].split(".")[:2]) < (1, 1):
        pytest.skip(f"features: ociVersionMax is {known}, process.scheduler came with 1.1.0")


def granted(policy: str) -> bool:
    """Whether the kernel gives a process of ours a real-time policy at all: tried in a child."""
    child = os.fork()
    if child == 0:
        if policy == "DEADLINE":
            words = (48 | NUMBERS[policy] << 32, 0, 0, *TIMES.values())
        else:
            words = (48 | NUMBERS[policy] << 32, 0, 1 << 32, 0, 0, 0)
        attributes = (ctypes.c_uint64 * 6)(*words)  # struct sched_attr, sched_setattr(2)
        number = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine, -1)
        os._exit(0 if ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


POLICIES: list[Any] = [
    pytest.param({"policy": "SCHED_OTHER", "nice": 3}, marks=covers(ROW + "17", ROW + "24"), id="OTHER"),
    pytest.param({"policy": "SCHED_BATCH", "nice": 5}, marks=covers(ROW + "20", ROW + "24"), id="BATCH"),
    pytest.param({"policy": "SCHED_IDLE"}, marks=covers(ROW + "22"), id="IDLE"),
    pytest.param({"policy": "SCHED_FIFO", "priority": 7}, marks=covers(ROW + "18", ROW + "25"), id="FIFO"),
    pytest.param({"policy": "SCHED_RR", "priority": 7}, marks=covers(ROW + "19", ROW + "25"), id="RR"),
    pytest.param({"policy": "SCHED_DEADLINE", **TIMES}, marks=covers(ROW + "23", ROW + "34"), id="DEADLINE"),
]


def possible(bundle: Bundle, members: dict[str, Any]) -> None:
    """Skip what this host's kernel does not give; give a share where it wants one."""
    policy = members["policy"].removeprefix("SCHED_")
    if policy in ("FIFO", "RR"):
        realtime(bundle)
    if policy in ("FIFO", "RR", "DEADLINE") and "cpu" not in bundle.linux["resources"] and not granted(policy):
        pytest.skip(f"the kernel gives no SCHED_{policy} here")


def check(found: Report, members: dict[str, Any]) -> None:
    """The scheduler's attributes are those of the config."""
    seen = found["scheduler"]
    wanted = {**members, "policy": NUMBERS[members["policy"].removeprefix("SCHED_")]}
    assert {name: seen[name] for name in wanted} == wanted


@pytest.mark.parametrize("members", POLICIES)
@covers(ROW + "15")
def test_scheduler(bundle: Bundle, report: Reader, members: dict[str, Any]) -> None:
    """Every policy is applied."""
    possible(scheduler(bundle, **members), members)
    check(report(bundle), members)


@needs("exec")
@pytest.mark.parametrize("members", POLICIES)
@covers(ROW + "15")
def test_scheduler_of_an_executed_process(runtime: Runtime, bundle: Bundle, members: dict[str, Any]) -> None:
    """`exec --process` applies every policy."""
    bundle.config["ociVersion"] = "1.1.0"
    possible(bundle, members)
    container = held(runtime, bundle)
    document = {**bundle.process, "args": ["/probe", "report"], "scheduler": members}
    result = documented(container, document)
    check(parse(result.stdout, result), members)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("RT", 1, marks=covers(ROW + "41")),
        pytest.param("BE", 2, marks=covers(ROW + "42")),
        pytest.param("IDLE", 3, marks=covers(ROW + "43")),
    ],
)
@covers(ROW + "38")
def test_io_priority(bundle: Bundle, report: Reader, name: str, number: int) -> None:
    """Every class is applied, with its level."""
    bundle.config["ociVersion"] = "1.1.0"
    bundle.process["ioPriority"] = {"class": f"IOPRIO_CLASS_{name}", "priority": 5}
    found = report(bundle)["io_priority"]
    assert (found["class"], found["level"]) == (number, 5)
