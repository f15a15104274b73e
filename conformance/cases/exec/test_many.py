"""Many processes executed in one container: one after the other, side by side, at its beginning and at its end."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from seatrial.conformance.airlock import orphans
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.exec.executing import at_once, executed, held
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import alive
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import Finding

pytestmark = [needs("exec"), profile("runc-compat")]

ROW, LANES, EACH = 200, 4, 50
SPARE = 8 << 20  # bytes of the container's memory that may be more afterwards: the kernel's caches


def traces(container: Container) -> dict[str, object]:
    """What grows when something of an executed process stays: descriptors of init, its mounts, processes in the
    cgroup, state files, and children of ours (orphans of the runtime, zombies)."""
    pid = container.pid
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        mounts = len(file.readlines())
    state = [
        (os.path.relpath(directory, container.runtime.root), sorted(files))
        for directory, _, files in sorted(os.walk(container.runtime.root))
    ]
    return {
        "descriptors": sorted(os.listdir(f"/proc/{pid}/fd")),
        "mounts": mounts,
        "processes": processes(container),
        "state": state,
        "bundle": sorted(os.listdir(container.bundle.path)),
    }


def processes(container: Container) -> list[int]:
    """The pids in the container's cgroup (in one of its hierarchies)."""
    for directory in control_files.directories_of(container).values():
        with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
            return sorted(int(line) for line in file)
    raise Finding("the container has no cgroup")


def memory(container: Container) -> int:
    """Bytes that are charged to the container; 0 where nobody counts."""
    places = control_files.directories_of(container)
    for name, file in (("", "memory.current"), ("memory", "memory.usage_in_bytes")):
        path = os.path.join(places.get(name, ""), file)
        if name in places and os.path.exists(path):
            return int(control_files.read(places[name], file))
    return 0


def wait_processes(container: Container, count: int) -> list[int]:
    """Wait until so many processes are in the container's cgroup; Finding after a while."""
    deadline = time.monotonic() + patience(5)
    while len(found := processes(container)) != count:
        if time.monotonic() > deadline:
            raise Finding(f"{len(found)} processes are in the container's cgroup, not {count}")
        time.sleep(0.002)
    return found


@needs("root")
@covers("runtime/state/10", "config/process/14")
def test_two_hundred_leave_nothing(runtime: Runtime, bundle: Bundle) -> None:
    """200 programs, by four callers who each run one after the other: every one has its own output and status, and
    afterwards init has the descriptors and mounts that it had, the cgroup no process and no memory more, the state
    directory no file more (runc 5208, youki 3432)."""
    container = held(runtime, bundle)
    executed(container)
    before, used = traces(container), memory(container)

    def lane(number: int) -> list[tuple[int, bool]]:
        found = []
        for turn in range(EACH):
            label = f"turn-{number}-{turn}"
            result = container.exec(PROBE, "print", label, "--", "exit", str(turn), check=False)
            found.append((result.status, f'"{label}"' in result.stdout))
        return found

    for found in at_once(LANES, lane):
        assert found == [(turn, True) for turn in range(EACH)]
    assert LANES * EACH == ROW
    wait_processes(container, 1)
    assert traces(container) == before
    assert memory(container) <= used + SPARE


@needs("root")
@covers("config/process/14")
def test_thirty_two_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """32 callers at the same time: each gets the output and the status of its own program."""
    container = held(runtime, bundle)
    before = traces(container)

    def one(number: int) -> tuple[int, list[str]]:
        result = container.exec(PROBE, "print", f"caller-{number}", "--", "exit", str(number), check=False, timeout=60)
        return result.status, [verb.value for verb in parse(result.stdout, result).verbs if verb.verb == "print"]

    assert at_once(32, one) == [(number, [f"caller-{number}"]) for number in range(32)]
    wait_processes(container, 1)
    assert traces(container) == before


@covers("runtime/lifecycle/26", "config/process/14")
def test_right_after_start(runtime: Runtime, bundle: Bundle) -> None:
    """As soon as start has returned there is a container to join (crun 1.8.7), whatever its program does by then."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    assert container.exec(PROBE, "exit", "9", check=False).status == 9
    container.wait_output('"verb":"hold"')


@covers("config/process/14", "runtime/lifecycle/26")
def test_created_container_starts_afterwards(runtime: Runtime, bundle: Bundle) -> None:
    """A process in a created container sees it as it will be, does not start the program, and does not keep it from
    starting."""
    container = runtime.create(bundle.probe("append /marks started -- hold", report=False))
    report = executed(container, "list /proc")
    assert report["uts"]["nodename"] == bundle.config["hostname"]
    assert len([name for name in report.verb("list").value if name.isdigit()]) == 2  # init and the probe
    assert not os.path.exists(f"{bundle.rootfs}/marks")
    container.start()
    container.wait_output('"verb":"hold"')
    with open(f"{bundle.rootfs}/marks", encoding="utf-8") as file:
        assert file.read().count("started") == 1


@needs("root")
@covers("runtime/state/8", "config/process/14")
def test_programs_end_with_the_container(runtime: Runtime, bundle: Bundle) -> None:
    """When the init of the pid namespace is killed, what was executed is killed too (pid_namespaces(7)): the caller is
    told 128 + 9, and the container can be deleted."""
    container = held(runtime, bundle)
    pid = container.pid

    def one(number: int) -> int:
        if number:
            return container.exec(PROBE, "hold", "60", check=False).status
        wait_processes(container, 3)
        container.kill("KILL")
        return 0

    assert at_once(3, one) == [0, 137, 137]
    assert not os.path.exists(f"/proc/{pid}/exe") or container.status() == "stopped"
    container.wait_status("stopped")
    container.delete()


@covers("runtime/errors/1", "runtime/delete/7")
def test_executing_while_the_container_ends(runtime: Runtime, bundle: Bundle) -> None:
    """Whoever executes while somebody kills the container gets a status in time, the program's or an error, and
    nothing stays behind."""
    container = held(runtime, bundle)
    assert container.pid > 0

    def one(number: int) -> int:
        if number == 2:
            container.kill("KILL")
            return 0
        return container.exec(PROBE, "exit", "7", check=False).status

    statuses = at_once(6, one, lanes=3)
    assert all(status >= 0 for status in statuses), statuses
    wait_ended(container.pid)
    container.wait_status("stopped")
    assert not container.exec(PROBE, "exit", "0", check=False).ok
    container.delete()
    assert not runtime.state(container.id).ok


@needs("root")
@covers("runtime/kill/5", "runtime/delete/7")
@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "shared pids"])
def test_forced_delete_ends_what_was_executed(runtime: Runtime, bundle: Bundle, own_pids: bool) -> None:
    """delete --force leaves no process of the container, though init never knew of it."""
    if not own_pids:
        bundle.without_namespace("pid")
    container = held(runtime, bundle)
    path = bundle.outside("executed.pid")
    container.exec(PROBE, "hold", detach=True, pid_file=path)
    with open(path, encoding="ascii") as file:
        pid = int(file.read())
    assert pid in processes(container)
    assert pid != container.pid
    # It is our child, and the init of a pid namespace does not end before everybody in there is reaped.
    reaper = threading.Thread(target=reap, args=(pid,), daemon=True)
    reaper.start()
    container.delete(force=True)
    reaper.join(5)
    assert not reaper.is_alive(), f"process {pid} still lives"


def reap(pid: int) -> None:
    """Wait for the end of a process that is our child (or nobody's any more)."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def wait_ended(pid: int) -> None:
    """Wait until the init of a pid namespace has ended; what its callers left there has become ours to reap."""
    deadline = time.monotonic() + patience(5)
    while alive(pid):
        orphans.reap()
        assert time.monotonic() < deadline, f"process {pid} still lives"
        time.sleep(0.005)
