"""config-linux.md#memory, and what #unified says of its members on v2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.control_files import UNLIMITED
from seatrial.conformance.cases.cgroups.limits import Limit, check, created_with, put, variants, versions
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine import needs as needs_module

Make = Callable[[], Bundle]
Existing = Callable[[Bundle, str], str]
Rejected = Callable[..., Result]

MIB = 1 << 20
LIMIT = 64 * MIB
LIMITS = [
    Limit(
        "limit",
        {"memory.limit": LIMIT},
        ("memory.limit_in_bytes", str(LIMIT)),
        ("memory/2", "memory/3"),
        ("memory.max", str(LIMIT)),
        ("memory/2", "unified/5"),
    ),
    Limit(
        "reservation",
        {"memory.reservation": 32 * MIB},
        ("memory.soft_limit_in_bytes", str(32 * MIB)),
        ("memory/4",),
        ("memory.low", str(32 * MIB)),
        ("unified/6",),
    ),
    Limit(
        "swap",
        {"memory.limit": LIMIT, "memory.swap": 3 * LIMIT},
        ("memory.memsw.limit_in_bytes", str(3 * LIMIT)),
        ("memory/5",),
        ("memory.swap.max", str(2 * LIMIT)),
        ("unified/7",),
    ),
    Limit(
        "swap-unlimited",
        {"memory.limit": LIMIT, "memory.swap": -1},
        ("memory.memsw.limit_in_bytes", UNLIMITED),
        ("memory/5", "memory/2"),
        ("memory.swap.max", "max"),
        ("unified/7",),
    ),
    Limit("swappiness", {"memory.swappiness": 37}, ("memory.swappiness", "37"), ("memory/10",)),
    Limit("swappiness-0", {"memory.swappiness": 0}, ("memory.swappiness", "0"), ("memory/11",)),
    Limit("swappiness-100", {"memory.swappiness": 100}, ("memory.swappiness", "100"), ("memory/11",)),
    Limit("useHierarchy", {"memory.useHierarchy": True}, ("memory.use_hierarchy", "1"), ("memory/13",)),
]


@pytest.mark.parametrize(("limit", "file", "wanted", "v2"), variants(LIMITS))
def test_limit(runtime: Runtime, make_bundle: Make, limit: Limit, file: str, wanted: set[str], v2: bool) -> None:
    """The kernel shows the member's value, in bytes where it is an amount (config-linux.md#memory).  On v2 a runtime
    may refuse what it does not convert (#unified)."""
    container = created_with(runtime, make_bundle, limit, {file: min(wanted)}, may_refuse=v2)
    check(container, file, wanted)


DEFAULTS = {
    False: {"memory.limit_in_bytes": UNLIMITED, "memory.soft_limit_in_bytes": UNLIMITED},
    True: {"memory.max": "max", "memory.high": "max", "memory.low": "0"},
}


@pytest.mark.parametrize("v2", versions("memory", v1=("memory/1",), v2=("memory/1",)))
def test_memory_may_be_left_out(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Without memory the cgroup has the kernel's defaults (config-linux.md#memory)."""
    container = runtime.create(bundle)
    assert {name: control_files.value(container, name) for name in DEFAULTS[v2]} == DEFAULTS[v2]


@pytest.mark.parametrize("v2", versions("memory", v1=("memory/2",), v2=("memory/2",)))
def test_minus_one_is_no_limit(runtime: Runtime, bundle: Bundle, existing_cgroup: Existing, v2: bool) -> None:
    """-1 takes the limit away, also from a cgroup that had one (config-linux.md#memory)."""
    name = "memory.max" if v2 else "memory.limit_in_bytes"
    directory = existing_cgroup(bundle, "memory")
    assert control_files.write(os.path.join(directory, name), str(LIMIT)) is None
    container = runtime.create(put(bundle, {"memory.limit": -1}))
    assert control_files.value(container, name) == ("max" if v2 else UNLIMITED)


@pytest.mark.parametrize("value", [pytest.param(None, id="absent"), pytest.param(False, id="false")])
@pytest.mark.parametrize("v2", versions("memory", v1=("memory/3", "memory/12"), v2=("memory/2", "unified/5")))
def test_too_much_memory_is_fatal(runtime: Runtime, bundle: Bundle, value: bool | None, v2: bool) -> None:
    """A process that uses more than the limit is killed by the OOM killer (config-linux.md#memory)."""
    members: dict[str, Any] = {"memory.limit": 32 * MIB}
    if needs_module.unmet("swap") is None:
        members["memory.swap"] = 32 * MIB  # else it would be swapped out
    if value is not None:
        members["memory.disableOOMKiller"] = value
    container = runtime.create(put(bundle, members).probe("print begun -- memory 64M -- print over", report=False))
    directory = control_files.directory_of(container, "memory")
    if not v2:
        assert control_files.key_value(control_files.read(directory, "memory.oom_control"), "oom_kill_disable") == "0"
    container.start()
    container.wait()
    assert "begun" in container.output()
    assert "over" not in container.output()
    events = control_files.read(directory, "memory.events" if v2 else "memory.oom_control")
    assert int(control_files.key_value(events, "oom_kill")) > 0


@needs("root", "cgroup1", "cgroup:memory")
@covers("config-linux/memory/12")
def test_disable_oom_killer(runtime: Runtime, bundle: Bundle) -> None:
    """disableOOMKiller turns the cgroup's OOM killer off (config-linux.md#memory)."""
    container = runtime.create(put(bundle, {"memory.limit": LIMIT, "memory.disableOOMKiller": True}))
    text = control_files.value(container, "memory.oom_control")
    assert control_files.key_value(text, "oom_kill_disable") == "1"


@needs("root", "cgroup1", "cgroup:memory")
@covers("config-linux/memory/11")
def test_swappiness_ends_at_100(runtime: Runtime, make_bundle: Make, rejected: Rejected) -> None:
    """101 is refused (config-linux.md#memory)."""
    rejected(
        runtime,
        put(make_bundle(), {"memory.swappiness": 101}),
        control=put(make_bundle(), {"memory.swappiness": 99}),
    )


@profile("spec")
@needs("root", "cgroup1", "cgroup:memory")
@covers("config-linux/memory/13")
def test_use_hierarchy_false_is_applied_or_refused(runtime: Runtime, bundle: Bundle) -> None:
    """false turns hierarchical accounting off; a kernel since 5.11 cannot, and then it is an error
    (config-linux.md#memory, runtime.md#create)."""
    runtime.prove_sane()
    container = runtime.create(put(bundle, {"memory.useHierarchy": False}), check=False)
    if container.created.ok:
        assert control_files.value(container, "memory.use_hierarchy") == "0"
    else:
        assert not container.created.crashed
        assert not runtime.state(container.id).ok


@needs("root", "cgroup1", "cgroup:memory", "kernel>=5.11")
@covers("config-linux/memory/13")
def test_memory_of_a_child_cgroup_counts(runtime: Runtime, bundle: Bundle) -> None:
    """With useHierarchy, what a child cgroup uses counts against the container's limit (config-linux.md#memory)."""
    members = {"memory.useHierarchy": True, "memory.limit": 32 * MIB}
    container = runtime.create(put(bundle, members).probe("memory 64M -- print over", report=False))
    directory = control_files.directory_of(container, "memory")
    os.mkdir(os.path.join(directory, "child"))
    if needs_module.unmet("swap") is None:
        control_files.write(os.path.join(directory, "memory.memsw.limit_in_bytes"), str(32 * MIB))
    assert control_files.write(os.path.join(directory, "child", "cgroup.procs"), str(container.pid)) is None
    container.start()
    container.wait()
    assert "over" not in container.output()
    # The kill is counted where the victim was; the parent's failure count says whose limit it was.
    assert int(control_files.read(directory, "memory.failcnt")) > 0


KERNEL = [
    pytest.param("kernel", "memory.kmem.limit_in_bytes", marks=covers("config-linux/memory/6"), id="kernel"),
    pytest.param("kernelTCP", "memory.kmem.tcp.limit_in_bytes", marks=covers("config-linux/memory/7"), id="kernelTCP"),
]


@profile("spec")
@needs("root", "cgroup1", "cgroup:memory")
@pytest.mark.parametrize(("member", "file"), KERNEL)
def test_kernel_memory_is_limited_or_refused(runtime: Runtime, bundle: Bundle, member: str, file: str) -> None:
    """A limit of kernel memory shows in its file; one that cannot be set (kernel memory since 5.16) is an error, not
    dropped (config-linux.md#memory, runtime.md#create)."""
    runtime.prove_sane()
    container = runtime.create(put(bundle, {f"memory.{member}": 16 * MIB}), check=False)
    if container.created.ok:
        assert control_files.value(container, file) == str(16 * MIB)
    else:
        assert not container.created.crashed
        assert not runtime.state(container.id).ok


@needs("root", "cgroup:memory")
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("kernel", marks=covers("config-linux/memory/8")),
        pytest.param("kernelTCP", marks=covers("config-linux/memory/9")),
    ],
)
def test_kernel_memory_is_taken_or_refused(runtime: Runtime, bundle: Bundle, member: str) -> None:
    """The limits that are not recommended any more let create work or fail, in order (config-linux.md#memory)."""
    runtime.prove_sane()
    container = runtime.create(put(bundle, {f"memory.{member}": 16 * MIB}), check=False)
    assert not container.created.crashed, container.created.describe()
    state = runtime.state(container.id)
    assert state.ok == container.created.ok
    if state.ok:
        assert container.status() == "created"


@needs("root", "cgroup2", "cgroup:memory", "command:update")
@pytest.mark.parametrize(
    ("below", "checked"),
    [
        pytest.param(True, True, id="below-checked", marks=covers("config-linux/memory/16")),
        pytest.param(False, True, id="above-checked", marks=covers("config-linux/memory/15")),
        pytest.param(False, False, id="above-unchecked", marks=covers("config-linux/memory/15")),
    ],
)
@covers("config-linux/memory/14")
def test_check_before_update(runtime: Runtime, bundle: Bundle, below: bool, checked: bool) -> None:
    """checkBeforeUpdate refuses a limit below the usage, and only that (config-linux.md#memory)."""
    members = {"memory.limit": 256 * MIB}
    container = runtime.create(put(bundle, members, "1.1.0").probe("memory 64M -- hold 20", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    wanted = (16 if below else 128) * MIB
    resources = json.dumps({"memory": {"limit": wanted, "checkBeforeUpdate": checked}}).encode()
    result = runtime.command("update", "-r", "-", container.id, stdin=resources)
    assert result.ok is not below, result.describe()
    assert control_files.value(container, "memory.max") == str(256 * MIB if below else wanted)
    assert container.status() == "running"
