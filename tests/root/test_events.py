"""Statistics, `events`, and being told of memory trouble: on cgroups with real processes in them."""

from __future__ import annotations

import json
import os
import select
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine, Running, cgroups

from seatrial.native.spawn import spawn
from seatrial.runtime import Container
from seatrial.runtime.cgroup.cgroup import Cgroup
from seatrial.runtime.cgroup.hierarchy import detect
from seatrial.runtime.cgroup.place import place
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.errors import StateError, SyscallError, UsageError
from seatrial.runtime.notify import EventsNotification, PressureNotification

RUNC = shutil.which("runc") or shutil.which("runc", path="/usr/sbin:/usr/local/sbin")
LIMIT = 24 << 20


def members(value: Any, path: str = "") -> set[str]:
    """The names in a document, with their paths; the numbers of lists do not count."""
    if isinstance(value, dict):
        return {path}.union(*(members(item, f"{path}.{name}") for name, item in value.items()))
    return {path}


def wait_printed(running: Running, bytes: int = 1) -> None:
    """Wait until a command has printed something."""
    deadline = time.monotonic() + 30
    while os.fstat(running.out.fileno()).st_size < bytes:
        assert running.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def missing(*controllers: str) -> set[str]:
    """Those of the controllers that a container's cgroup will not have."""
    hierarchy = detect()
    if hierarchy.mode != "v2" or hierarchy.v2 is None:
        return set(controllers) - set(hierarchy.v1)
    with open(f"{hierarchy.v2.mount_point}/cgroup.controllers", encoding="ascii") as file:
        return set(controllers) - set(file.read().split())


def needs(*controllers: str) -> None:
    if missing(*controllers):
        pytest.skip(f"needs the controllers {', '.join(sorted(missing(*controllers)))}")


def needs_v1(*controllers: str) -> None:
    if set(controllers) - set(detect().v1):
        pytest.skip(f"needs cgroup v1 with {', '.join(sorted(controllers))}")


def test_stats_are_runcs(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    if RUNC is None:
        pytest.skip("needs runc")
    needs("pids", "memory")
    bundle.args("cpu", "100000")
    bundle.config["linux"]["resources"] = {"pids": {"limit": 77}, "memory": {"limit": LIMIT}}
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-stat1")
    runc = [RUNC, "--root", os.path.join(tmp_path, "runc")]
    assert Running([*runc, "run", "-d", "-b", bundle.path, "c-stat2"]).end().returncode == 0
    try:
        with Container.load(cli.root, "c-stat1") as container:
            deadline = time.monotonic() + 20
            while container.stats().cpu.usage.user < 200_000_000:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        ours = cli("events", "--stats", "c-stat1").stdout
        theirs = Running([*runc, "events", "--stats", "c-stat2"]).end()
    finally:
        Running([*runc, "delete", "--force", "c-stat2"]).end()
    mine, other = json.loads(ours), json.loads(theirs.stdout)
    assert ours.count("\n") == 1
    assert list(mine) == list(other) == ["type", "id", "data"]
    assert (mine["type"], mine["id"]) == ("stats", "c-stat1")
    assert list(mine["data"]) == list(other["data"])
    left_out = (".current", ".cache", ".max", ".usage", ".percpu_user", ".percpu_kernel")  # when they are zero
    differ = members(mine) ^ members(other)
    differ = {name for name in differ if ".psi" not in name and ".blkio." not in name}
    assert {name for name in differ if not name.endswith(left_out)} == set()
    for name in ("cpuset", "hugetlb", "intel_rdt", "network_interfaces"):
        assert mine["data"][name] == other["data"][name]
    assert mine["data"]["pids"]["limit"] == 77
    assert mine["data"]["memory"]["usage"]["limit"] == LIMIT
    assert mine["data"]["memory"]["usage"]["usage"] > 0
    assert mine["data"]["cpu"]["usage"]["total"] > 200_000_000
    assert mine["data"]["cpu"]["usage"]["user"] > 100_000_000
    if "cpuacct" in detect().v1:
        usage = mine["data"]["cpu"]["usage"]
        assert sum(usage["percpu"]) == pytest.approx(usage["total"], rel=0.3)


def test_throttling_is_counted(cli: CommandLine, bundle: Bundle) -> None:
    needs("cpu")
    bundle.args("cpu", "10", "--", "hold")
    bundle.config["linux"]["resources"] = {"cpu": {"quota": 5000, "period": 50000}}
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-thr")
    with Container.load(cli.root, "c-thr") as container:
        deadline = time.monotonic() + 10
        while container.stats().cpu.throttling.throttled_time == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        throttling = container.stats().cpu.throttling
        assert 0 < throttling.throttled_periods <= throttling.periods


def test_events_end_with_the_cgroup(cli: CommandLine, bundle: Bundle) -> None:
    cli("run", "-d", "-b", bundle.path, "c-ev")
    events = cli.begin("events", "--interval", "50ms", "c-ev")
    wait_printed(events, 2000)
    began = time.monotonic()
    cli("delete", "--force", "c-ev")
    done = events.end()
    assert time.monotonic() - began < 20
    assert done.returncode == 0
    assert missing("memory") or done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 1
    assert {line["type"] for line in lines} == {"stats"}


def test_events_refuse(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("exit", "0")
    cli("run", "--keep", "-b", bundle.path, "c-no")
    for words, text in (
        (["c-no"], "is stopped"),
        (["--stats", "c-no"], "is stopped"),
        (["nobody"], "does not exist"),
        (["--interval", "0s", "c-no"], "above 0"),
        (["c-no", "--interval=-1s"], "above 0"),
        (["--interval", "5", "c-no"], "invalid duration"),
    ):
        done = cli("events", *words, check=False)
        assert done.returncode == 1
        assert text in done.stderr
        assert done.stdout == ""


def test_out_of_memory_is_an_event(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    """The child of init is killed, init goes on."""
    needs("memory")
    bundle.args("wait-file", "/go", "60", "--", "child", "memory", "64M", "--", "hold")
    bundle.config["linux"]["resources"] = {"memory": {"limit": LIMIT, "swap": LIMIT}}
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-oom")
    events = cli.begin("events", "--interval", "30ms", "c-oom")
    with Container.load(cli.root, "c-oom") as container, container.notify_oom() as notification:
        assert notification.wait(0) == 0
        wait_printed(events)
        with open(os.path.join(bundle.rootfs, "go"), "w"):
            pass
        assert notification.wait(20) >= 1
        assert not notification.ended
        assert container.status() == "running"
        deadline = time.monotonic() + 20
        while container.stats().memory.events["oom_kill"] == 0:  # the kernel tells first, and kills then
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert 0 < container.stats().memory.usage.usage <= LIMIT
        container.destroy(force=True)
        while notification.wait(20):
            pass
        assert notification.ended
        assert list(notification) == []
        with pytest.raises(StateError, match="has no cgroup"):
            container.stats()
        with pytest.raises(SyscallError, match="memory"):
            container.notify_oom()
    done = events.end()
    assert done.returncode == 0
    assert '{"type":"oom","id":"c-oom"}' in done.stdout.splitlines()
    assert {json.loads(line)["type"] for line in done.stdout.splitlines()} == {"stats", "oom"}


def test_memory_pressure_is_told_of(cli: CommandLine, bundle: Bundle) -> None:
    needs_v1("memory")
    bundle.args("wait-file", "/go", "60", "--", "child", "memory", "64M", "--", "hold")
    bundle.config["linux"]["resources"] = {"memory": {"limit": LIMIT, "swap": LIMIT}}
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-press")
    with Container.load(cli.root, "c-press") as container:
        with pytest.raises(UsageError, match="low, medium, critical"):
            container.notify_memory_pressure("high")
        with container.notify_memory_pressure("critical") as notification:
            poller = select.poll()
            poller.register(notification, notification.poll_events)
            assert poller.poll(0) == []
            with open(os.path.join(bundle.rootfs, "go"), "w"):
                pass
            assert poller.poll(20_000)
            assert notification.wait(0) >= 1
        container.destroy(force=True)


def test_notifications_leak_no_descriptor(cli: CommandLine, bundle: Bundle) -> None:
    needs_v1("memory")
    cli("run", "-d", "-b", bundle.path, "c-evfds")
    with Container.load(cli.root, "c-evfds") as container:
        container.notify_oom().close()
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with container.notify_oom() as notification, container.notify_memory_pressure("low"):
                notification.close()
                with pytest.raises(ValueError, match="closed"):
                    notification.fileno()
        assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def unified() -> Iterator[CgroupV2]:
    hierarchy = detect()
    if hierarchy.v2 is None:
        pytest.skip("needs a mounted cgroup2")
    made = CgroupV2({"": f"{hierarchy.v2.mount_point}/seatrial-test-events-{os.getpid()}"})
    made.create()
    yield made
    made.kill_all()
    made.remove()


def sleeper(cgroup: Cgroup) -> tuple[int, int]:
    program = os.open("/bin/sleep", os.O_PATH | os.O_CLOEXEC)
    directory = cgroup.fd()
    try:
        return spawn(program, [b"sleep", b"1000"], [], [], cgroup_fd=directory)
    finally:
        os.close(program)
        os.close(directory)


def test_the_last_process_ends_a_v2_notification(unified: CgroupV2) -> None:
    pid, pidfd = sleeper(unified)
    assert unified.stats().pids.current == 1
    with EventsNotification(unified.path, memory=False) as notification:
        assert notification.wait(0.05) == 0
        assert not notification.ended
        ended = []
        thread = threading.Thread(target=lambda: ended.extend(notification))
        thread.start()
        unified.kill_all()
        os.waitpid(pid, 0)
        thread.join(10)
        assert not thread.is_alive()
        assert notification.ended
    os.close(pidfd)
    with EventsNotification(unified.path, memory=False) as notification:
        assert notification.ended
        assert notification.wait() == 0


def test_out_of_memory_without_the_controller_is_an_error(unified: CgroupV2) -> None:
    if os.path.exists(f"{unified.path}/memory.events"):
        pytest.skip("needs a cgroup without the memory controller")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SyscallError, match=r"memory\.events: ENOENT; the memory controller is not available"):
        EventsNotification(unified.path)
    assert os.listdir("/proc/self/fd") == before


def test_pressure_trigger_on_v2(unified: CgroupV2) -> None:
    if not os.path.exists(f"{unified.path}/memory.pressure"):
        pytest.skip("needs pressure stall information")
    before = os.listdir("/proc/self/fd")
    with PressureNotification(unified.path, "low") as notification:
        assert notification.wait(0.05) == 0
        assert not notification.ended
        unified.remove()
        assert notification.wait(10) == 0
        assert notification.ended
    assert os.listdir("/proc/self/fd") == before
    unified.create()


def test_v1_cgroup_without_memory_has_no_oom(tmp_path: os.PathLike[str]) -> None:
    needs_v1("pids")
    hierarchy = detect()
    hierarchy.v1 = {"pids": hierarchy.v1["pids"]}
    hierarchy.v2 = None
    cgroup = place(f"/seatrial-test-nomem-{os.getpid()}", "id", hierarchy)
    cgroup.create()
    try:
        from seatrial.runtime import notify

        with pytest.raises(StateError, match="no memory cgroup"):
            notify.oom(cgroup.paths)
        assert notify.end(cgroup.paths) is None
        assert cgroup.stats().memory.usage.limit == 0
    finally:
        cgroup.remove()
    assert cgroups(f"seatrial-test-nomem-{os.getpid()}") == []
