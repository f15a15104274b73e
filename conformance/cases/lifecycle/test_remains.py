"""What outlives a container's first process, and what must not be mistaken for it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import wait_pidfd
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

PATIENCE = 5.0  # seconds
TRIES = 40
NS_LAST_PID = "/proc/sys/kernel/ns_last_pid"


def family(runtime: Runtime, bundle: Bundle) -> tuple[Container, int]:
    """A container without a pid namespace of its own, and the pid of its program's child."""
    bundle.without_namespace("pid")
    container = runtime.create(bundle.probe("child hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    with open(f"/proc/{container.pid}/task/{container.pid}/children", encoding="ascii") as file:
        return container, int(file.read().split()[0])


def ended(pidfd: int) -> bool:
    """Whether a process ends soon.  It may be a child of ours then, which we collect."""
    if not wait_pidfd(pidfd, patience(PATIENCE)):
        return False
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        pass
    return True


@needs("root")
@profile("runc-compat")
@covers("runtime/kill/5")
def test_sigkill_ends_all_processes_without_a_pid_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """In a shared pid namespace nothing ends with its init: `kill ID KILL` reaches the others too (since runc 1.2)."""
    container, child = family(runtime, bundle)
    pidfd = os.pidfd_open(child)
    try:
        container.kill("KILL")
        assert ended(pidfd), "a process of the container outlives kill ID KILL"
        container.wait_status("stopped")
        container.delete()
    finally:
        os.close(pidfd)


@needs("root")
@covers("runtime/delete/7")
def test_delete_removes_processes_that_init_left(runtime: Runtime, bundle: Bundle) -> None:
    """The program has ended and its child has not: delete ends that too, or says that it cannot (it never leaves a
    process in a cgroup that nobody knows any more)."""
    container, child = family(runtime, bundle)
    pidfd = os.pidfd_open(child)
    try:
        os.kill(container.pid, signal.SIGKILL)
        container.wait_status("stopped")
        deleted = container.delete(check=False)
        assert not deleted.crashed, deleted.describe()
        if not deleted.ok:
            runtime.command("delete", "--force", container.id).check()
            container.alive = False
        assert ended(pidfd), "a process of the container outlives delete"
    finally:
        os.close(pidfd)


@needs("root")
@profile("runc-compat")
@covers("runtime/kill/5")
def test_failed_kill_leaves_the_container_running(runtime: Runtime, bundle: Bundle) -> None:
    """A kill that is refused leaves nothing frozen behind (crun 1.29)."""
    bundle.without_namespace("pid")
    container = runtime.create(bundle.probe("signal-log 30 --until TERM", report=False))
    container.start()
    container.wait_output('"ready"')
    runtime.command("kill", container.id, "NOSUCH")
    runtime.command("kill", container.id, "999")
    assert container.status() == "running"
    container.kill("USR1")
    container.wait_output('"SIGUSR1"')


@needs("root")
@covers("runtime/delete/7")
def test_cgroups_of_the_container_are_removed(runtime: Runtime, bundle: Bundle) -> None:
    """Cgroups that the program has made below its own go with it."""
    container = runtime.create(bundle.probe("hold", report=False))
    places = set(control_files.directories_of(container).values())
    for place in places:
        os.makedirs(os.path.join(place, "one", "two"))
    container.start()
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    assert [place for place in places if os.path.exists(place)] == []


@needs("root")
@covers("runtime/state/9")
def test_frozen_parent_does_not_pause_the_container(runtime: Runtime, bundle: Bundle) -> None:
    """Who freezes a cgroup above the container has not paused it: the status stays what the specification has."""
    bundle.linux["cgroupsPath"] = f"/{bundle.name}-above/inner"
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    found = control_files.directories_of(container)
    place = found.get("freezer") or found.get("")
    name, frozen, thawed = ("freezer.state", "FROZEN", "THAWED") if "freezer" in found else ("cgroup.freeze", "1", "0")
    path = os.path.join(os.path.dirname(str(place)), name)
    error = control_files.write(path, frozen)
    if error is not None:
        pytest.skip(f"the cgroup above the container cannot be frozen: {error}")
    try:
        status = container.status()
    finally:
        control_files.write(path, thawed)
    assert status == "running"
    container.delete(force=True)


def take_pid(pid: int) -> int:
    """A process of ours that waits and has a pid that is free; 0 when somebody else was quicker."""
    for _ in range(TRIES):
        with open(NS_LAST_PID, "w", encoding="ascii") as file:
            file.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(60)
            os._exit(0)
        if child == pid:
            return child
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return 0


@needs("root")
@covers("runtime/state/9", "runtime/kill/2", "runtime/kill/3")
def test_another_process_gets_the_pid(runtime: Runtime, bundle: Bundle) -> None:
    """The container's process is gone and its pid is given to a stranger: the container is stopped, and neither kill
    nor delete --force reaches the stranger."""
    if os.getpid() == os.getppid() or not os.access(NS_LAST_PID, os.W_OK):
        pytest.skip(f"root: {NS_LAST_PID} cannot be written to")
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    pid = container.pid
    os.kill(pid, signal.SIGKILL)
    container.wait_status("stopped")
    if os.path.exists(f"/proc/{pid}"):
        raise Finding("the container is stopped, but its process is still there")
    stranger = take_pid(pid)
    if not stranger:
        pytest.skip("smp: the pid could not be had")
    pidfd = os.pidfd_open(stranger)
    try:
        status = container.status()
        killed = container.kill("TERM", check=False)
        deleted = container.delete(force=True, check=False)
        alive = not wait_pidfd(pidfd, 0)
    finally:
        os.close(pidfd)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # the driver may have collected it
            os.kill(stranger, signal.SIGKILL)
            os.waitpid(stranger, 0)
    assert alive, "the stranger was killed"
    assert status == "stopped"
    assert not killed.ok, killed.describe()
    assert deleted.ok, deleted.describe()


@needs("root")
@covers("config/root/1")
def test_containers_that_share_a_rootfs(runtime: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    """Several containers are created from one rootfs in which the mount points are still missing, at the same time
    (runc 4543)."""
    import threading

    runtime.prove_sane()
    shared = make_bundle()
    bundles = []
    for _ in range(4):
        bundle = make_bundle()
        bundle.config["root"] = {"path": shared.rootfs}
        for number in range(6):
            bundle.mount(f"/made/m{number}/deep", "tmpfs", "tmpfs")
        bundles.append(bundle.probe("exit 0", report=False))
    results: list[bool] = []

    def run(bundle: Bundle) -> None:
        results.append(runtime.run(bundle, check=False).ok)

    threads = [threading.Thread(target=run, args=(bundle,)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
