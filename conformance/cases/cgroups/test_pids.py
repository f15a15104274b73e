"""config-linux.md#pids: how many tasks the container may have."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import Limit, check, created_with, put, variants
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

Make = Callable[[], Bundle]
Reader = Callable[..., Report]
Existing = Callable[[Bundle, str], str]

LIMITS = [
    Limit(
        "pids.limit", {"pids.limit": 37}, ("pids.max", "37"), ("pids/2",), ("pids.max", "37"), ("pids/2", "unified/21")
    ),
]


@needs("root", "cgroup:pids")
@covers("config-linux/pids/1")
def test_pids_may_be_left_out(runtime: Runtime, bundle: Bundle) -> None:
    """Without pids nothing limits the tasks (config-linux.md#pids)."""
    assert control_files.value(runtime.create(bundle), "pids.max") == "max"


@pytest.mark.parametrize(("limit", "file", "wanted", "v2"), variants(LIMITS))
def test_limit(runtime: Runtime, make_bundle: Make, limit: Limit, file: str, wanted: set[str], v2: bool) -> None:
    """The kernel's limit is pids.limit (config-linux.md#pids)."""
    container = created_with(runtime, make_bundle, limit, {}, may_refuse=False)
    check(container, file, wanted)


@needs("root", "cgroup:pids")
@covers("config-linux/pids/2")
def test_fork_fails_beyond_the_limit(bundle: Bundle, report: Reader) -> None:
    """The container has pids.limit tasks and no more: fork gives EAGAIN (config-linux.md#pids, fork(2))."""
    put(bundle, {"pids.limit": 9}).probe("fork 12", report=False)
    verb = report(bundle).verb("fork")
    assert (verb.value, verb.errno) == (8, "EAGAIN")  # the probe itself is the ninth


@needs("root", "cgroup:pids")
@covers("config-linux/pids/3")
def test_minus_one_is_no_limit(runtime: Runtime, bundle: Bundle, existing_cgroup: Existing) -> None:
    """-1 takes the limit away, also from a cgroup that had one (config-linux.md#pids)."""
    directory = existing_cgroup(bundle, "pids")
    assert control_files.write(os.path.join(directory, "pids.max"), "77") is None
    container = runtime.create(put(bundle, {"pids.limit": -1}))
    assert control_files.value(container, "pids.max") == "max"


@profile("spec")
@needs("root", "cgroup:pids")
@covers("config-linux/pids/4")
def test_zero_is_a_limit_of_zero(runtime: Runtime, bundle: Bundle) -> None:
    """0 is what the kernel calls 0: the process may run, but not fork (config-linux.md#pids)."""
    container = runtime.create(put(bundle, {"pids.limit": 0}).probe("fork 1", report=False))
    assert control_files.value(container, "pids.max") == "0"
    container.start()
    assert '"EAGAIN"' in container.wait_output('"fork"')
