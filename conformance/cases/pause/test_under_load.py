"""Pauses, updates, kills and deletes of a container that forks, allocates and writes as fast as it can."""

from __future__ import annotations

import json
import os
import time

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.exec.executing import at_once
from seatrial.conformance.cases.exec.test_many import processes
from seatrial.conformance.cases.lifecycle.surroundings import groups_of
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import Finding

pytestmark = [profile("runc-compat"), needs("root")]

PAUSES = needs("command:pause", "command:resume")
UPDATES = needs("command:update", "cgroup:memory", "cgroup:pids")
MIB = 1 << 20
STILL = 0.05  # seconds in which a program that forks is seen to go on, on a host that is not overloaded


def limited(bundle: Bundle) -> Bundle:
    """With limits that the updates change."""
    bundle.linux["resources"]["memory"] = {"limit": 256 * MIB}
    bundle.linux["resources"]["pids"] = {"limit": 200}
    return bundle


def churning(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container whose first process forks children that touch memory and end, and counts them in a file."""
    container = runtime.create(bundle.probe("print here -- churn /count", report=False))
    container.start()
    container.wait_output("churn")
    wait_counting(container)
    return container


def count(container: Container) -> int:
    """How many children there have been."""
    with open(os.path.join(container.bundle.rootfs, "count"), encoding="ascii") as file:
        return int(file.read() or 0)


def wait_counting(container: Container) -> None:
    """Wait until the count has grown twice; Finding after a while."""
    deadline = time.monotonic() + patience(5)
    for _ in range(2):
        before = count(container) if os.path.exists(os.path.join(container.bundle.rootfs, "count")) else 0
        while not os.path.exists(os.path.join(container.bundle.rootfs, "count")) or count(container) == before:
            if time.monotonic() > deadline:
                raise Finding("the container's program does not go on")
            time.sleep(0.002)


def assert_still(container: Container) -> None:
    """Nothing is forked and nothing counted for a moment."""
    before = count(container), processes(container)
    time.sleep(STILL)
    assert (count(container), processes(container)) == before


def limits(container: Container) -> tuple[str, str]:
    """The memory limit and the limit of processes, as the kernel has them."""
    name = "memory.max" if cgroups.read_view().mode == "v2" else "memory.limit_in_bytes"
    return control_files.value(container, name), control_files.value(container, "pids.max")


def update(container: Container, memory: int, pids: int) -> None:
    """Other limits: MiB of memory, number of processes."""
    words = ("--memory", str(memory * MIB), "--memory-swap", str(2 * memory * MIB), "--pids-limit", str(pids))
    container.runtime.command("update", *words, container.id).check()


@PAUSES
@covers("runtime/state/9", "runtime/state/10")
def test_pausing_what_forks(runtime: Runtime, bundle: Bundle) -> None:
    """Again and again: when pause has returned, no process runs, none is born and none ends; after resume all goes
    on (runc 2955)."""
    container = churning(runtime, bundle)
    for _ in range(3):
        runtime.command("pause", container.id).check()
        assert_still(container)
        assert container.status() == "paused"
        runtime.command("resume", container.id).check()
        wait_counting(container)
    assert container.status() == "running"


@UPDATES
@covers("config-linux/memory/2", "config-linux/pids/2")
def test_twenty_updates(runtime: Runtime, bundle: Bundle) -> None:
    """Limits go up and down twenty times while the container allocates; each holds when update has returned, and the
    container goes on."""
    container = churning(runtime, limited(bundle))
    for turn in range(20):
        memory, pids = (96, 60) if turn % 2 else (160, 120 + turn)
        update(container, memory, pids)
        assert limits(container) == (str(memory * MIB), str(pids))
    assert container.status() == "running"
    wait_counting(container)


@UPDATES
@needs("exec")
@covers("config-linux/devices/1", "config-linux/pids/2")
def test_updates_keep_the_device_rules(runtime: Runtime, bundle: Bundle) -> None:
    """A device that was denied is denied after an update, one that was allowed is allowed (runc 2951)."""
    bundle.capabilities("CAP_MKNOD")
    bundle.linux["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"})
    container = churning(runtime, limited(bundle))
    for turn in range(3):
        allowed, denied = f"/dev/allowed-{turn}", f"/dev/denied-{turn}"
        words = [PROBE, "mknod", allowed, "c", "1", "7", "--", "open", allowed, "rdonly"]
        # Nobody drives 240:1 (a major number for experiments): an open that is allowed to try fails with ENXIO.
        words += ["--", "mknod", denied, "c", "240", "1", "--", "open", denied, "rdonly"]
        result = container.exec(*words)
        found = [verb.errno for verb in parse(result.stdout, result).verbs if verb.verb == "open"]
        assert found == [None, "EPERM"]
        update(container, 128 + turn, 50 + turn)


@UPDATES
@PAUSES
@covers("config-linux/memory/2", "runtime/state/9")
def test_updates_do_not_wake_a_paused_container(runtime: Runtime, bundle: Bundle) -> None:
    """The limits of a paused container change, and nothing of it runs meanwhile or afterwards, before resume."""
    container = churning(runtime, limited(bundle))
    runtime.command("pause", container.id).check()
    before = count(container)
    for memory, pids in ((96, 60), (160, 61)):
        update(container, memory, pids)
        assert limits(container) == (str(memory * MIB), str(pids))
        assert container.status() == "paused"
    assert_still(container)
    assert count(container) == before
    runtime.command("resume", container.id).check()
    wait_counting(container)


@UPDATES
@needs("exec")
@covers("config-linux/pids/2", "config/process/14")
def test_updating_and_executing_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """Updates and programs side by side: every one succeeds, the last limits hold."""
    container = churning(runtime, limited(bundle))

    def one(number: int) -> int:
        if number % 2:
            return container.exec(PROBE, "exit", str(number), check=False).status
        return runtime.command("update", "--pids-limit", str(100 + number), container.id).status

    assert at_once(8, one, lanes=4) == [0, 1, 0, 3, 0, 5, 0, 7]
    update(container, 96, 60)
    assert limits(container) == (str(96 * MIB), "60")
    wait_counting(container)


@PAUSES
@covers("runtime/delete/7")
def test_forced_delete_of_a_paused_container(runtime: Runtime, bundle: Bundle) -> None:
    """delete --force of a paused container does not wait for anybody (runc 3134), and leaves no process."""
    container = churning(runtime, bundle)
    runtime.command("pause", container.id).check()
    pids = processes(container)
    began = time.monotonic()
    container.delete(force=True)
    assert time.monotonic() - began < 9
    assert groups_of(bundle.name) == []
    assert [pid for pid in pids if runs_here(pid, bundle)] == []


def runs_here(pid: int, bundle: Bundle) -> bool:
    """Whether a process is alive and has the bundle's root."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root/probe"), os.stat(bundle.rootfs + PROBE))
    except OSError:
        return False


@covers("runtime/delete/7")
@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "shared pids"])
def test_forced_delete_of_what_forks(runtime: Runtime, bundle: Bundle, own_pids: bool) -> None:
    """delete --force of a container that forks all the time: no process escapes, with or without a pid namespace."""
    if not own_pids:
        bundle.without_namespace("pid")
    container = churning(runtime, bundle)
    assert container.pid > 0
    container.delete(force=True)
    assert groups_of(bundle.name) == []
    assert not runtime.state(container.id).ok
    before = count(container)
    time.sleep(STILL)
    assert count(container) == before


@covers("runtime/kill/5")
def test_sigkill_for_all_in_shared_pids(runtime: Runtime, bundle: Bundle) -> None:
    """`kill --all ID KILL` ends every process of a container that has the host's pids, though it goes on forking (runc
    3825)."""
    bundle.without_namespace("pid")
    container = churning(runtime, bundle)
    places = list(control_files.directories_of(container).values())
    container.kill("KILL", all=True)
    container.wait_status("stopped")
    deadline = time.monotonic() + patience(5)
    while any(control_files.read(place, "cgroup.procs") for place in places):
        assert time.monotonic() < deadline, "processes are left in the cgroup"
        time.sleep(0.005)
    container.delete()


@PAUSES
@covers("runtime/kill/5")
def test_refused_signal_leaves_nothing_frozen(runtime: Runtime, bundle: Bundle) -> None:
    """A kill with a signal that does not exist, whatever it says, does not stop the container (crun 1.29.1)."""
    container = churning(runtime, bundle)
    for signal in ("NOSUCH", "999"):
        container.kill(signal, check=False)
    assert container.status() == "running"
    wait_counting(container)


@covers("runtime/state/9")
def test_frozen_parent_is_no_pause(runtime: Runtime, bundle: Bundle) -> None:
    """Somebody has frozen the cgroup above the container's: it stands still, but it is not paused: nobody could resume
    it (runc's list of statuses is about the container's own cgroup)."""
    bundle.linux["cgroupsPath"] = f"/{bundle.name}/inner"
    container = churning(runtime, bundle)
    places = control_files.directories_of(container)
    if cgroups.read_view().mode == "v2":
        switch, frozen, thawed = os.path.join(os.path.dirname(places[""]), "cgroup.freeze"), "1", "0"
    elif "freezer" in places:
        switch = os.path.join(os.path.dirname(places["freezer"]), "freezer.state")
        frozen, thawed = "FROZEN", "THAWED"
    else:
        pytest.skip("no freezer in this view")
    assert control_files.write(switch, frozen) is None
    try:
        assert container.status() == "running"
    finally:
        assert control_files.write(switch, thawed) is None
    wait_counting(container)
    container.delete(force=True)


@covers("runtime/query-state/2", "runtime/delete/7")
def test_asking_while_it_is_deleted(runtime: Runtime, bundle: Bundle) -> None:
    """state beside delete --force: one of the statuses, or no such container; never a crash, nothing in between (runc
    4798)."""
    container = churning(runtime, bundle)
    assert container.pid > 0

    def one(number: int) -> str:
        if number == 3:
            container.delete(force=True)
            return "absent"
        result = runtime.state(container.id)
        assert not result.crashed, result.describe()
        if not result.ok:
            return "absent"
        return str(json.loads(result.stdout)["status"])

    found = at_once(10, one, lanes=2)
    assert set(found) <= {"running", "stopped", "absent"}, found
    assert not runtime.state(container.id).ok
