"""The container's processes run on the CPUs of its cgroup, not on those of whoever called the runtime.

An engine's service is often bound to a few CPUs; what it starts must not be.  Practice of runc since 1.2 and of crun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import executed, held
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = [needs("root", "smp", "cgroup:cpuset"), profile("runc-compat")]


@pytest.fixture
def cpus(bundle: Bundle) -> Iterator[list[int]]:
    """The CPUs of the container's cgroup, all that are ours; the runtime's caller, this thread, has one of them."""
    before = os.sched_getaffinity(0)
    bundle.linux["resources"]["cpu"] = {"cpus": ",".join(str(number) for number in sorted(before))}
    os.sched_setaffinity(0, {min(before)})
    try:
        yield sorted(before)
    finally:
        os.sched_setaffinity(0, before)


@covers("config-linux/cpu/8")
def test_program_may_use_all_cpus(runtime: Runtime, bundle: Bundle, cpus: list[int]) -> None:
    """The affinity of the caller does not become the container's."""
    result = runtime.run(bundle)
    assert parse(result.stdout, result)["affinity"] == cpus


@needs("exec")
@covers("config-linux/cpu/8")
def test_executed_program_may_use_all_cpus(runtime: Runtime, bundle: Bundle, cpus: list[int]) -> None:
    """Nor that of the process that exec starts."""
    assert executed(held(runtime, bundle))["affinity"] == cpus
