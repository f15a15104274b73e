"""checkpoint and restore as commands: what they leave, what they refuse, what a restored container is to the others."""

from __future__ import annotations

import os
import threading
import time

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups.control_files import directories_of
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = [CHECKPOINTS, profile("runc-compat")]


@covers("runtime/delete/2")
def test_checkpointed_container_is_gone(runtime: Runtime, bundle: Bundle) -> None:
    """Its process has ended, it has no state and no cgroup, and its id is free."""
    trip = Trip(runtime, bundle, "memory").start()
    pid, directories = trip.container.pid, set(directories_of(trip.container).values())
    trip.checkpoint()
    assert not os.path.exists(f"/proc/{pid}/exe")
    assert not runtime.state(trip.container.id).ok
    assert [path for path in directories if path.endswith(bundle.name) and os.path.isdir(path)] == []
    container = runtime.create(bundle)
    assert container.status() == "created"


@covers("runtime/state/7", "runtime/state/10", "runtime/state/2", "runtime/state/13")
def test_restored_container_is_running(runtime: Runtime, bundle: Bundle) -> None:
    """state tells the id, the bundle and the pid, --pid-file has it too, and it is the process that answers."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint()
    path = bundle.outside("pid")
    trip.restore(pid_file=path)
    state = trip.container.state()
    assert (state["id"], state["status"], state["bundle"]) == (trip.container.id, "running", bundle.path)
    with open(path, encoding="ascii") as file:
        assert int(file.read()) == state["pid"]
    with open(f"/proc/{state['pid']}/cmdline", "rb") as file:
        assert file.read().split(b"\0")[:2] == [b"/probe", b"workload"]
    trip.after = trip.ask()
    trip.judge()


@covers("runtime/kill/5", "runtime/state/8", "runtime/delete/4")
def test_restored_container_is_killed_and_deleted(runtime: Runtime, bundle: Bundle) -> None:
    """As any other; its cgroup goes with it."""
    trip = Trip(runtime, bundle, "processes").start()
    trip.checkpoint()
    trip.restore()
    directories = {path for path in directories_of(trip.container).values() if path.endswith(bundle.name)}
    assert directories
    trip.container.kill("KILL")
    trip.container.wait_status("stopped", runtime.timeout)
    trip.container.delete()
    assert not runtime.state(trip.container.id).ok
    assert [path for path in directories if os.path.isdir(path)] == []


@needs("exec")
@covers("runtime/state/7")
def test_program_is_executed_in_a_restored_container(runtime: Runtime, bundle: Bundle) -> None:
    """It is in the namespaces and the cgroup of the restored process."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint()
    trip.restore()
    trip.after = trip.ask()
    found = parse(trip.container.exec("/probe", "report").stdout)
    for name in ("mnt", "pid", "net", "ipc", "uts"):
        assert found.namespace(name) == trip.after.namespace(name), name
    assert found["cgroup"] == trip.after["cgroup"]


@pytest.mark.parametrize(("signal", "status"), [("TERM", 0), ("KILL", 137)])
@covers("runtime/state/7")
def test_restore_in_the_foreground(runtime: Runtime, bundle: Bundle, signal: str, status: int) -> None:
    """Without --detach restore stays, and ends with the status of the process, as run does; nothing is left."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint()
    results = []

    def restore() -> None:
        results.append(trip.restore(detach=False, check=False))

    container = Container(runtime, bundle, trip.container.id)
    runtime.containers.append(container)
    thread = threading.Thread(target=restore)
    thread.start()
    try:
        deadline = time.monotonic() + runtime.timeout
        while not runtime.state(container.id).ok or container.status() != "running":
            assert thread.is_alive(), results[0].describe()
            assert time.monotonic() < deadline, "the container does not run"
            time.sleep(0.02)
        trip.container = container
        trip.after = trip.ask()
        container.kill(signal)
    finally:
        thread.join()
    trip.container.alive, container.deleted = False, True
    trip.judge()
    assert results[0].status == status
    assert not runtime.state(container.id).ok


@covers("runtime/scope-of-a-container/1")
def test_leave_running(runtime: Runtime, bundle: Bundle) -> None:
    """With --leave-running the same process goes on, nothing of it changed; the images are good later on."""
    trip = Trip(runtime, bundle, "memory", "signals", "posix-timers").start()
    pid = trip.container.pid
    trip.checkpoint(leave_running=True)
    assert trip.container.status() == "running"
    assert trip.container.state()["pid"] == pid
    trip.after = trip.ask()
    trip.judge()
    trip.container.remove()
    trip.answers.again_from(1)
    trip.restore()
    trip.after = trip.ask()
    trip.judge()


@covers("runtime/state/2", "runtime/state/7")
def test_restore_under_another_id(runtime: Runtime, bundle: Bundle) -> None:
    """The id of restore counts."""
    trip = Trip(runtime, bundle, "memory", "pipes").start()
    old = trip.container.id
    trip.checkpoint()
    trip.restore(id=f"{old}-again")
    state = trip.container.state()
    assert (state["id"], state["status"]) == (f"{old}-again", "running")
    assert not runtime.state(old).ok
    trip.after = trip.ask()
    trip.judge()


@covers("runtime/state/3")
def test_restore_of_an_id_in_use_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    """The container that has it runs on."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint(leave_running=True)
    running, pid = trip.container, trip.container.pid
    refused = trip.restore(check=False)
    assert not refused.ok, refused.describe()
    trip.container.deleted = True  # there is but the other
    trip.container = running
    assert running.state()["pid"] == pid
    trip.after = trip.ask()
    trip.judge()


@pytest.mark.parametrize("status", ["created", "stopped"])
@covers("runtime/errors/1")
def test_only_what_runs_is_checkpointed(runtime: Runtime, bundle: Bundle, status: str) -> None:
    """A container that was not started or has ended is refused, and stays what it is."""
    trip = Trip(runtime, bundle, "memory")
    trip.container = runtime.create(bundle)
    if status == "stopped":
        trip.container.start()
        trip.container.kill("KILL")
        trip.container.wait_status("stopped")
    refused = trip.checkpoint(check=False)
    assert not refused.ok, refused.describe()
    assert trip.container.status() == status


@covers("runtime/errors/1")
def test_unknown_container_is_not_checkpointed(runtime: Runtime, bundle: Bundle) -> None:
    """It fails, and makes no images."""
    runtime.prove_sane()
    path = bundle.outside("images")
    refused = runtime.command("checkpoint", "--image-path", path, f"{bundle.name}-unknown")
    assert not refused.ok, refused.describe()
    assert not os.path.exists(path) or os.listdir(path) == []


@covers("runtime/warnings/1")
def test_logs_are_where_they_are_wanted(runtime: Runtime, bundle: Bundle) -> None:
    """--work-path gets what CRIU logs, and --image-path the images alone."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint(work_path=bundle.outside("here"))
    assert "dump.log" in os.listdir(bundle.outside("here"))
    images = os.listdir(trip.images())
    assert "inventory.img" in images
    assert not any(name.endswith(".log") for name in images)
    trip.restore(work_path=bundle.outside("there"))
    assert "restore.log" in os.listdir(bundle.outside("there"))
