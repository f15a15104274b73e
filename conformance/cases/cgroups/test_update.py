"""`update`: new limits for a container that exists.  The specification has no such operation; engines rely on runc's.

The values are read back from the kernel.  What is changed is what the members of linux.resources describe, so the
cases cover these; a refusal falls under runtime.md#errors.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.control_files import controller_of
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime

pytestmark = [profile("runc-compat"), needs("root", "command:update")]

MIB = 1 << 20
LIMITED = {
    "memory.limit": 96 * MIB,
    "memory.reservation": 48 * MIB,
    "cpu.shares": 512,
    "cpu.quota": 40000,
    "cpu.period": 100000,
    "pids.limit": 50,
}

# words, members of a document that says the same, v1 file and text, v2 file and text, row of the ledger
CHANGES: list[tuple[list[str], dict[str, Any], tuple[str, str], tuple[str, str], str]] = [
    (["--memory", "128M"], {"memory": {"limit": 128 * MIB}}, ("memory.limit_in_bytes", str(128 * MIB)),
     ("memory.max", str(128 * MIB)), "memory/2"),
    (["--memory-reservation", "32m"], {"memory": {"reservation": 32 * MIB}},
     ("memory.soft_limit_in_bytes", str(32 * MIB)), ("memory.low", str(32 * MIB)), "memory/2"),
    (["--cpu-share", "1024"], {"cpu": {"shares": 1024}}, ("cpu.shares", "1024"), ("cpu.weight", ""), "cpu/2"),
    (["--cpu-quota", "20000"], {"cpu": {"quota": 20000}}, ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 100000"),
     "cpu/3"),
    (["--cpu-quota", "-1"], {"cpu": {"quota": -1}}, ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"), "cpu/3"),
    (["--cpu-period", "80000"], {"cpu": {"period": 80000}}, ("cpu.cfs_period_us", "80000"), ("cpu.max", "40000 80000"),
     "cpu/5"),
    (["--cpuset-cpus", "0"], {"cpu": {"cpus": "0"}}, ("cpuset.cpus", "0"), ("cpuset.cpus", "0"), "cpu/8"),
    (["--cpuset-mems", "0"], {"cpu": {"mems": "0"}}, ("cpuset.mems", "0"), ("cpuset.mems", "0"), "cpu/9"),
    (["--pids-limit", "20"], {"pids": {"limit": 20}}, ("pids.max", "20"), ("pids.max", "20"), "pids/2"),
    (["--pids-limit", "-1"], {"pids": {"limit": -1}}, ("pids.max", "max"), ("pids.max", "max"), "pids/3"),
]  # fmt: skip


def variants() -> list[Any]:
    found = []
    for words, document, v1, v2, row in CHANGES:
        for version, (file, text) in (("1", v1), ("2", v2)):
            marks = [covers(f"config-linux/{row}"), needs(f"cgroup{version}", f"cgroup:{controller_of(file)}")]
            marks += [needs("cgroup:memory", "cgroup:cpu", "cgroup:pids")]
            name = f"{words[0][2:]} {words[1]}-v{version}"
            found.append(pytest.param(words, document, file, text, id=name, marks=marks))
    return found


def limited(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container with limits."""
    container = runtime.create(put(bundle, LIMITED).probe("hold 20", report=False))
    container.start()
    return container


FILES = {
    "1": (
        "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us",
        "cpuset.cpus", "cpuset.mems", "pids.max",
    ),
    "2": ("memory.max", "memory.low", "cpu.weight", "cpu.max", "pids.max"),
}  # fmt: skip


def shown(container: Container, file: str) -> dict[str, str]:
    """Every limit of these cases, and `file`."""
    version = "2" if list(control_files.directories_of(container)) == [""] else "1"
    return {name: control_files.value(container, name) for name in {*FILES[version], file}}


@pytest.mark.parametrize(("words", "document", "file", "text"), variants())
@pytest.mark.parametrize("form", ["options", "document"])
def test_what_is_given_changes_and_the_rest_stays(
    runtime: Runtime, bundle: Bundle, form: str, words: list[str], document: dict[str, Any], file: str, text: str
) -> None:
    """One limit is set, by an option or by a document on standard input; every other one keeps its value."""
    container = limited(runtime, bundle)
    before = shown(container, file)
    if form == "options":
        runtime.command("update", *words, container.id).check()
    else:
        runtime.command("update", "--resources", "-", container.id, stdin=json.dumps(document).encode()).check()
    after = shown(container, file)
    if text:
        assert after[file] == text
    else:
        assert int(after[file]) > int(before[file])  # weights are converted in more than one way
    assert {name for name in after if after[name] != before[name]} <= {file}
    assert container.status() == "running"


@needs("cgroup:memory", "cgroup:cpu", "cgroup:pids")
@pytest.mark.parametrize(
    "file",
    [
        pytest.param("memory.limit_in_bytes", id="v1", marks=needs("cgroup1")),
        pytest.param("memory.max", id="v2", marks=needs("cgroup2")),
    ],
)
@covers("config-linux/memory/2", "runtime/errors/1")
def test_a_refused_update_changes_nothing(runtime: Runtime, bundle: Bundle, file: str) -> None:
    """One value that the kernel refuses (a period of 7 microseconds), and no limit changes; a later update works."""
    container = limited(runtime, bundle)
    before = shown(container, file)
    words = ("--memory", "64m", "--pids-limit", "20", "--cpu-share", "2", "--cpu-period", "7")
    refused = runtime.command("update", *words, container.id)
    assert not refused.ok
    assert not refused.crashed, refused.describe()
    assert shown(container, file) == before
    runtime.command("update", "--memory", "128m", container.id).check()
    assert control_files.value(container, file) == str(128 * MIB)


@needs("cgroup:memory")
@pytest.mark.parametrize(
    ("file", "swap"),
    [
        pytest.param("memory.memsw.limit_in_bytes", 0, id="v1", marks=needs("cgroup1")),
        pytest.param("memory.swap.max", 1, id="v2", marks=needs("cgroup2")),
    ],
)
@covers("config-linux/memory/2")
def test_memory_and_swap_grow_and_shrink_together(runtime: Runtime, bundle: Bundle, file: str, swap: int) -> None:
    """Both limits change in one go, up and down, though the kernel never lets memory exceed memory and swap."""
    container = runtime.create(bundle.probe("hold 20", report=False))
    container.start()
    for size in (64, 256, 32, 128):
        words = ("--memory", f"{size}m", "--memory-swap", f"{2 * size}m")
        runtime.command("update", *words, container.id).check()
        name = "memory.max" if swap else "memory.limit_in_bytes"
        assert control_files.value(container, name) == str(size * MIB)
        assert control_files.value(container, file) == str((2 - swap) * size * MIB)


@needs("cgroup:pids", "command:pause")
@covers("config-linux/pids/2")
def test_a_paused_container_stays_paused(runtime: Runtime, bundle: Bundle) -> None:
    """Limits of a paused container change, and it does not wake up."""
    container = runtime.create(put(bundle, {"pids.limit": 50}).probe("hold 20", report=False))
    container.start()
    runtime.command("pause", container.id).check()
    try:
        runtime.command("update", "--pids-limit", "20", container.id).check()
        assert control_files.value(container, "pids.max") == "20"
        assert container.status() == "paused"
    finally:
        runtime.command("resume", container.id).check()


@needs("cgroup:pids")
@covers("config-linux/pids/2")
def test_a_created_container_can_be_updated(runtime: Runtime, bundle: Bundle) -> None:
    """The limits of a created container hold when it starts."""
    container = runtime.create(put(bundle, {"pids.limit": 50}).probe("fork 12", report=False))
    runtime.command("update", "--pids-limit", "9", container.id).check()
    assert container.status() == "created"
    container.start()
    assert '"EAGAIN"' in container.wait_output('"fork"')


@needs("cgroup:pids")
@covers("runtime/errors/1")
def test_a_stopped_container_has_no_limits(runtime: Runtime, bundle: Bundle) -> None:
    """There is nothing to update any more."""
    container = runtime.create(put(bundle, {"pids.limit": 50}).probe("print over", report=False))
    runtime.command("update", "--pids-limit", "20", container.id).check()
    container.start()
    container.wait_status("stopped")
    refused = runtime.command("update", "--pids-limit", "30", container.id)
    assert not refused.ok
    assert not refused.crashed, refused.describe()
