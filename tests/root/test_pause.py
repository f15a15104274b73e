"""Pausing and resuming: nothing runs after `pause` has returned, nothing stays frozen after a failure or a kill."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from bundles import Bundle, CommandLine, Running, cgroups, processes_of

from seatrial.native.spawn import spawn
from seatrial.runtime import Container
from seatrial.runtime.cgroup import freezer
from seatrial.runtime.cgroup.cgroup import Cgroup
from seatrial.runtime.cgroup.hierarchy import V2, detect
from seatrial.runtime.cgroup.place import place
from seatrial.runtime.errors import StateError, SyscallError


def cpu_ticks(pids: list[int]) -> list[int]:
    """User and system time of each process, in clock ticks."""
    found = []
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        found.append(int(fields[11]) + int(fields[12]))
    return found


def switches(pid: int) -> list[str]:
    """The context switches of a process: they grow whenever it runs."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return [line for line in file if "ctxt_switches" in line]


def busy(cli: CommandLine, bundle: Bundle, id: str, *namespaces: str) -> int:
    """A container that computes in two processes; the pid of its init."""
    if namespaces:
        bundle.config["linux"]["namespaces"] = [{"type": type} for type in namespaces]
    bundle.args("child", "cpu", "100000")
    cli("run", "-d", "-b", bundle.path, id)
    deadline = time.monotonic() + 20
    while len(cli("ps", "-f", "json", id).stdout.split(",")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(cli.state(id)["pid"])


def test_nothing_runs_while_it_is_paused(cli: CommandLine, bundle: Bundle) -> None:
    busy(cli, bundle, "c-still")
    pids = [int(pid) for pid in cli("ps", "-f", "json", "c-still").stdout.strip("[]\n").split(",")]
    cli("pause", "c-still")
    before = [switches(pid) for pid in pids], cpu_ticks(pids)
    time.sleep(0.1)
    assert ([switches(pid) for pid in pids], cpu_ticks(pids)) == before
    assert cli.status("c-still") == "paused"
    assert cli("pause", "c-still", check=False).returncode == 1
    assert cli.status("c-still") == "paused"
    cli("resume", "c-still")
    assert cli.status("c-still") == "running"
    deadline = time.monotonic() + 10
    while cpu_ticks(pids) == before[1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    done = cli("resume", "c-still", check=False)
    assert done.returncode == 1
    assert "is running" in done.stderr


def test_a_created_container_can_be_paused(cli: CommandLine, bundle: Bundle) -> None:
    cli("create", "-b", bundle.path, "c-early")
    cli("pause", "c-early")
    assert cli.status("c-early") == "paused"
    assert cli("start", "c-early", check=False).returncode == 1
    cli("resume", "c-early")
    assert cli.status("c-early") == "created"
    cli("start", "c-early")
    assert cli.status("c-early") == "running"


def test_what_is_not_there_or_has_ended_cannot_be_paused(cli: CommandLine, bundle: Bundle) -> None:
    for verb in ("pause", "resume", "ps"):
        done = cli(verb, "nobody", check=False)
        assert done.returncode == 1
        assert "does not exist" in done.stderr
    bundle.args("exit", "0")
    cli("run", "--keep", "-b", bundle.path, "c-over")
    for verb in ("pause", "resume"):
        done = cli(verb, "c-over", check=False)
        assert done.returncode == 1
        assert "is stopped" in done.stderr
    assert cli("ps", "-f", "json", "c-over").stdout == "null\n"


@pytest.mark.parametrize("namespaces", [("pid", "mount"), ("mount",)], ids=["own pids", "host's pids"])
def test_sigkill_ends_a_paused_container(cli: CommandLine, bundle: Bundle, namespaces: tuple[str, ...]) -> None:
    id = f"c-kill-{len(namespaces)}"  # the id names a cgroup: tests run side by side
    busy(cli, bundle, id, *namespaces)
    cli("pause", id)
    if detect().mode != V2 or "pid" in namespaces:  # v2's freezer lets a signal through that is sure to end a process
        cli("kill", id, "TERM")
        assert cli.status(id) == "paused"  # the signal waits
    cli("kill", id, "KILL")
    deadline = time.monotonic() + 10
    while processes_of(bundle.rootfs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert cli.status(id) == "stopped"
    cli("delete", id)


def test_a_waiting_signal_arrives_on_resume(cli: CommandLine, bundle: Bundle) -> None:
    cli("run", "-d", "-b", bundle.path, "c-term")
    cli("pause", "c-term")
    cli("kill", "c-term", "TERM")
    time.sleep(0.05)
    assert cli.status("c-term") == "paused"
    cli("resume", "c-term")
    deadline = time.monotonic() + 10
    while cli.status("c-term") != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("namespaces", [("pid", "mount"), ("mount",)], ids=["own pids", "host's pids"])
def test_forced_delete_of_a_paused_container_is_quick(
    cli: CommandLine, bundle: Bundle, namespaces: tuple[str, ...]
) -> None:
    id = f"c-fast-{len(namespaces)}"  # the id names a cgroup: tests run side by side
    busy(cli, bundle, id, *namespaces)
    cli("pause", id)
    assert cli("delete", id, check=False).returncode == 1
    assert cli.status(id) == "paused"
    began = time.monotonic()
    cli("delete", "--force", id)
    assert time.monotonic() - began < 9  # not the 10 s after which `delete` gives up
    assert processes_of(bundle.rootfs) == []
    assert cgroups(id) == []


def test_pause_and_kill_at_once_leave_nobody_frozen(cli: CommandLine, bundle: Bundle) -> None:
    for round in range(4):
        id = f"c-race{round}"
        pid = busy(cli, bundle, id)
        pidfd = os.pidfd_open(pid)
        both = [Running(cli.argv("pause", id)), Running(cli.argv("kill", id, "KILL")), Running(cli.argv("pause", id))]
        ends = [one.end() for one in both]
        assert ends[1].returncode == 0, ends[1].stderr
        deadline = time.monotonic() + 10
        while cli.status(id) != "stopped":
            assert time.monotonic() < deadline, cli.status(id)
            time.sleep(0.01)
        os.close(pidfd)
        cli("delete", id)


def test_pauses_and_resumes_of_several_programs_end(cli: CommandLine, bundle: Bundle) -> None:
    busy(cli, bundle, "c-many")
    running = [Running(cli.argv(verb, "c-many")) for verb in ("pause", "resume") * 4]
    for one in running:
        done = one.end()
        assert done.returncode == 0 or "is paused" in done.stderr or "is running" in done.stderr, done.stderr
    if cli.status("c-many") == "paused":
        cli("resume", "c-many")
    assert cli.status("c-many") == "running"


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    hierarchy = detect()
    if "freezer" not in hierarchy.v1:
        pytest.skip("needs the freezer of cgroup v1")
    hierarchy.v1 = {"freezer": hierarchy.v1["freezer"]}
    hierarchy.v2 = None
    made = place(f"/seatrial-test-freezer-{os.getpid()}/box", "id", hierarchy)
    made.create()
    yield made
    made.thaw()
    made.kill_all()
    made.remove()
    os.rmdir(os.path.dirname(made.paths["freezer"]))


def spawned(cgroup: Cgroup, *argv: str) -> int:
    program = os.open(argv[0], os.O_PATH | os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    tasks = cgroup.tasks()
    try:
        pid, pidfd = spawn(
            program, [os.fsencode(word) for word in argv], [b"PATH=/bin:/usr/bin"], [(0, null), (1, null), (2, null)],
            tasks=tasks,
        )  # fmt: skip
    finally:
        for fd in (program, null, *tasks):
            os.close(fd)
    os.close(pidfd)
    return pid


def test_a_program_that_spawns_all_the_time_freezes(cgroup: Cgroup) -> None:
    """subprocess uses vfork: the parent cannot stop while its child is frozen before the execve."""
    script = "import subprocess\nwhile True: subprocess.call(['/bin/true'])"
    pid = spawned(cgroup, "/usr/bin/python3", "-c", script)
    try:
        deadline = time.monotonic() + 10
        while len(cgroup.pids()) < 2:
            assert time.monotonic() < deadline
        for _ in range(30):
            cgroup.freeze()
            frozen = cgroup.pids()
            before = [switches(one) for one in frozen]
            time.sleep(0.005)
            assert cgroup.pids() == frozen
            assert [switches(one) for one in frozen] == before
            cgroup.thaw()
            time.sleep(0.003)
    finally:
        cgroup.kill_all()
        os.waitpid(pid, 0)


def test_a_freeze_that_fails_leaves_it_thawed(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = cgroup.paths["freezer"]
    real = freezer.read

    def never(where: str, name: str) -> str:
        return "FREEZING" if name == "freezer.state" else real(where, name)

    monkeypatch.setattr(freezer, "read", never)
    with pytest.raises(SyscallError, match="ETIMEDOUT"):
        freezer.freeze_v1(directory, 0.05)
    assert real(directory, "freezer.state") == "THAWED"

    def interrupted(_directory: str, _name: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(freezer, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        freezer.freeze_v1(directory)
    assert real(directory, "freezer.state") == "THAWED"


def test_an_interrupted_pause_leaves_it_running(cli: CommandLine, bundle: Bundle) -> None:
    """SIGTERM at a moment when the runtime waits for the freezer; where it was quicker, the container is paused."""
    busy(cli, bundle, "c-intr")
    for delay in (0.02, 0.04, 0.06, 0.08):
        one = cli.begin("pause", "c-intr")
        time.sleep(delay)
        one.process.terminate()
        done = one.end()
        if done.returncode == 0:
            assert cli.status("c-intr") == "paused"
            cli("resume", "c-intr")
        else:
            assert cli.status("c-intr") == "running"


def test_a_frozen_ancestor_is_no_pause(cgroup: Cgroup, cli: CommandLine, bundle: Bundle) -> None:
    parent = os.path.dirname(cgroup.paths["freezer"])
    bundle.config["linux"]["cgroupsPath"] = f"/{os.path.basename(parent)}/c-below"
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-below")
    freezer.freeze_v1(parent)
    try:
        assert cli.status("c-below") == "running"
        done = cli("resume", "c-below", check=False)
        assert done.returncode == 1
        assert freezer.above_is_frozen(os.path.join(parent, "c-below"))
        cli("pause", "c-below")
        assert cli.status("c-below") == "paused"
        cli("resume", "c-below")
        assert cli.status("c-below") == "running"
    finally:
        freezer.thaw_v1(parent)
    cli("delete", "--force", "c-below")
    for name, mounted in detect().v1.items():
        left = f"{mounted.mount_point}/{os.path.basename(parent)}"
        if name != "freezer" and os.path.isdir(left):
            os.rmdir(left)
    unified = detect().v2
    if unified is not None and os.path.isdir(f"{unified.mount_point}/{os.path.basename(parent)}"):
        os.rmdir(f"{unified.mount_point}/{os.path.basename(parent)}")


def test_a_cgroup_that_the_container_froze_itself_is_killed_too(cgroup: Cgroup) -> None:
    inner = os.path.join(cgroup.paths["freezer"], "inner")
    os.mkdir(inner)
    pid = spawned(cgroup, "/bin/sleep", "1000")
    with open(f"{inner}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(pid))
    freezer.freeze_v1(inner)
    cgroup.kill_all()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_library_pauses_from_threads(cli: CommandLine, bundle: Bundle) -> None:
    busy(cli, bundle, "c-lib")
    refused: list[StateError] = []

    def both() -> None:
        with Container.load(cli.root, "c-lib") as container:
            for _ in range(5):
                for operation in (container.pause, container.resume):
                    try:
                        operation()
                    except StateError as error:
                        refused.append(error)

    threads = [threading.Thread(target=both) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all("is paused" in str(error) or "is running" in str(error) for error in refused)
    with Container.load(cli.root, "c-lib") as container:
        if container.status() == "paused":
            container.resume()
        assert container.status() == "running"
