"""config-linux.md#cpu without cpuset, and what #unified says of its members on v2."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import (
    Limit,
    check,
    created_with,
    kernel_refusal,
    put,
    variants,
    versions,
)
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

Make = Callable[[], Bundle]
Existing = Callable[[Bundle, str], str]
Rejected = Callable[..., Result]


def weights(shares: int) -> set[str]:
    """The values of cpu.weight (1..10000) that runtimes make of cpu.shares (2..262144): a straight line, or a curve in
    the logarithms through (1024, 100); rounded either way."""
    line = 1 + (shares - 2) * 9999 / 262142
    exponent = math.log2(shares)
    curve = 10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34)
    return {str(rounded) for value in (line, curve) for rounded in (math.floor(value), math.ceil(value))}


LIMITS = [
    Limit(
        "shares", {"cpu.shares": 512}, ("cpu.shares", "512"), ("cpu/2",), ("cpu.weight", weights(512)), ("unified/8",)
    ),
    Limit("shares-lowest", {"cpu.shares": 2}, v2=("cpu.weight", "1"), v2_rows=("unified/8",)),
    Limit(
        "shares-highest",
        {"cpu.shares": 262144},
        ("cpu.shares", "262144"),
        ("cpu/2",),
        ("cpu.weight", "10000"),
        ("unified/8",),
    ),
    Limit(
        "quota",
        {"cpu.quota": 20000, "cpu.period": 50000},
        ("cpu.cfs_quota_us", "20000"),
        ("cpu/3",),
        ("cpu.max", "20000 50000"),
        ("unified/9",),
    ),
    Limit(
        "quota-alone",
        {"cpu.quota": 20000},
        ("cpu.cfs_quota_us", "20000"),
        ("cpu/3",),
        ("cpu.max", "20000 100000"),
        ("unified/9",),
    ),
    Limit(
        "period",
        {"cpu.period": 50000},
        ("cpu.cfs_period_us", "50000"),
        ("cpu/5",),
        ("cpu.max", "max 50000"),
        ("unified/9",),
    ),
    Limit(
        "burst",
        {"cpu.quota": 20000, "cpu.burst": 10000},
        ("cpu.cfs_burst_us", "10000"),
        ("cpu/4",),
        ("cpu.max.burst", "10000"),
        ("unified/10",),
        "1.1.0",
        "kernel>=5.14",
    ),
    Limit(
        "idle",
        {"cpu.idle": 1},
        ("cpu.idle", "1"),
        ("cpu/10", "cpu/15"),
        ("cpu.idle", "1"),
        ("unified/13",),
        "1.1.0",
        "kernel>=5.15",
    ),
    Limit("realtimePeriod", {"cpu.realtimePeriod": 500000}, ("cpu.rt_period_us", "500000"), ("cpu/7",)),
    Limit("realtimeRuntime", {"cpu.realtimeRuntime": 1000}, ("cpu.rt_runtime_us", "1000"), ("cpu/6",)),
]


@pytest.mark.parametrize(("limit", "file", "wanted", "v2"), variants(LIMITS))
def test_limit(runtime: Runtime, make_bundle: Make, limit: Limit, file: str, wanted: set[str], v2: bool) -> None:
    """The kernel shows the member's value (config-linux.md#cpu).  On v2 a runtime may refuse what it does not convert
    (#unified)."""
    container = created_with(runtime, make_bundle, limit, {file: min(wanted)}, may_refuse=v2)
    check(container, file, wanted)


@pytest.mark.parametrize(
    ("limit", "file", "wanted", "v2"),
    variants(
        [
            Limit(
                "quota",
                {"cpu.quota": -1},
                ("cpu.cfs_quota_us", "-1"),
                ("cpu/3",),
                ("cpu.max", "max 100000"),
                ("unified/9",),
            )
        ]
    ),
)
def test_minus_one_is_no_quota(
    runtime: Runtime, bundle: Bundle, existing_cgroup: Existing, limit: Limit, file: str, wanted: set[str], v2: bool
) -> None:
    """A quota of -1 takes the quota away, also from a cgroup that had one (config-linux.md#cpu)."""
    directory = existing_cgroup(bundle, "cpu")
    error = control_files.write(os.path.join(directory, file), "20000")
    assert error is None, error
    container = runtime.create(put(bundle, limit.members))
    check(container, file, wanted)


DEFAULTS = {
    False: {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
    True: {"cpu.weight": "100", "cpu.max": "max 100000"},
}


@pytest.mark.parametrize("v2", versions("cpu", v1=("cpu/1",), v2=("cpu/1",)))
def test_cpu_may_be_left_out(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Without cpu the cgroup has the kernel's defaults (config-linux.md#cpu)."""
    container = runtime.create(bundle)
    assert {name: control_files.value(container, name) for name in DEFAULTS[v2]} == DEFAULTS[v2]


BURST = ("cpu/11", "cpu/12", "cpu/13")


@needs("kernel>=5.14")
@pytest.mark.parametrize("v2", versions("cpu", v1=BURST, v2=BURST))
def test_burst_above_the_quota(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """A burst above the quota is an error, or does not take effect (config-linux.md#cpu)."""
    runtime.prove_sane()
    container = runtime.create(put(bundle, {"cpu.quota": 10000, "cpu.burst": 20000}, "1.1.0"), check=False)
    if container.created.ok:
        quota, burst = ("cpu.max", "cpu.max.burst") if v2 else ("cpu.cfs_quota_us", "cpu.cfs_burst_us")
        assert control_files.value(container, quota).split()[0] == "10000"
        assert int(control_files.value(container, burst)) <= 10000
    else:
        assert not container.created.crashed
        assert not runtime.state(container.id).ok


@needs("kernel>=5.14")
@pytest.mark.parametrize("v2", versions("cpu", v1=("cpu/11", "cpu/12"), v2=("cpu/11", "cpu/12")))
def test_burst_without_a_quota(runtime: Runtime, make_bundle: Make, v2: bool) -> None:
    """A quota that is not positive bounds no burst (config-linux.md#cpu)."""
    name = "cpu.max.burst" if v2 else "cpu.cfs_burst_us"
    reason = kernel_refusal(runtime, make_bundle, {name: "20000"})
    if reason:
        pytest.skip(f"the kernel refuses it: {reason}")
    runtime.create(put(make_bundle(), {"cpu.burst": 20000}, "1.1.0"))


@needs("root", "cgroup:cpu", "kernel>=5.15")
@covers("config-linux/cpu/15")
def test_idle_is_0_or_1(runtime: Runtime, make_bundle: Make, rejected: Rejected) -> None:
    """2 is refused (config-linux.md#cpu)."""
    rejected(
        runtime, put(make_bundle(), {"cpu.idle": 2}, "1.1.0"), control=put(make_bundle(), {"cpu.idle": 0}, "1.1.0")
    )
