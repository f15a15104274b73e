"""The library: libcontainer's operations in one process."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest
from bundles import PROBE, Bundle, cgroups, library_config, processes_of

from seatrial.conformance.airlock.orphans import children
from seatrial.runtime import Container, Process
from seatrial.runtime.config import Config, Hook, Mount, Namespace
from seatrial.runtime.errors import (
    ConfigError,
    ContainerExistsError,
    ContainerNotFoundError,
    HookError,
    SeatrialError,
    StateError,
    UsageError,
)
from seatrial.runtime.launch import LaunchError, executor


@pytest.fixture
def root(tmp_path: os.PathLike[str]) -> str:
    return os.path.join(tmp_path, "root")


@pytest.fixture
def config(bundle: Bundle) -> Config:
    return library_config(bundle)


@pytest.fixture
def id(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"lib-{os.getpid()}-{request.node.name.replace('[', '-').rstrip(']')}"
    yield name
    assert cgroups(name) == []


def open_fds() -> set[str]:
    executor()  # its memory file is made once and kept
    return set(os.listdir("/proc/self/fd"))


def test_run_wait_destroy(root: str, config: Config, id: str) -> None:
    container = Container.create(root, id, config)
    assert container.status() == "creating"
    process = Process(["/probe", "exit", "7"])
    container.run(process)
    assert process.wait() == 7
    assert process.wait() == 7
    assert container.status() == "stopped"
    assert container.state()["pid"] == 0
    container.destroy()
    assert os.listdir(root) == []


def test_start_leaves_it_created_and_release_lets_it_go(root: str, config: Config, id: str) -> None:
    with Container.create(root, id, config) as container:
        process = Process(["/probe", "hold"])
        container.start(process)
        assert container.status() == "created"
        assert os.path.basename(os.readlink(f"/proc/{process.pid}/exe").split()[0]) == "memfd:seatrial-executor"
        assert container.processes() == [process.pid]
        container.release()
        assert container.status() == "running"
        assert os.readlink(f"/proc/{process.pid}/exe") == "/probe"
        with pytest.raises(StateError, match="is running"):
            container.release()
        with pytest.raises(StateError, match="is running"):
            container.destroy()
        assert process.wait(0.05) is None
        container.signal(9)
        assert process.wait() == 137
        with pytest.raises(StateError, match="is stopped"):
            container.signal(15)
        container.destroy()
        with pytest.raises(ContainerNotFoundError):
            container.state()


def test_a_loaded_container_is_the_same_container(root: str, config: Config, id: str) -> None:
    process = Process(["/probe", "hold"], env=["A=b"])
    with Container.create(root, id, config) as container:
        container.start(process)
    with Container.load(root, id) as loaded:
        assert loaded.state()["status"] == "created"
        assert loaded.config.replace(process=None, warnings=[]) == config
        assert loaded.config.process == process.to_config()
        loaded.release()
        loaded.destroy(force=True)
    assert process.wait() == 137
    with pytest.raises(ContainerNotFoundError):
        Container.load(root, id)


def test_a_process_starts_once_and_its_clone_again(root: str, config: Config, id: str) -> None:
    process = Process(["/probe", "exit", "0"], env=["A=1"], umask=0o27, additional_gids=[5])
    with pytest.raises(StateError, match="not been started"):
        process.wait()
    with Container.create(root, id, config) as container:
        container.run(process)
        process.wait()
        with pytest.raises(StateError, match="started already"):
            container.run(process.clone())
        container.destroy()
    with Container.create(root, id, config) as container:
        with pytest.raises(StateError, match="started already"):
            container.run(process)
        clone = process.clone()
        container.run(clone)
        assert clone.wait() == 0
        container.destroy()


def test_extra_descriptors_and_standard_files(root: str, config: Config, id: str) -> None:
    read, write = os.pipe()
    extra_read, extra_write = os.pipe()
    process = Process(["/probe", "print", "out", "--", "write-fd", "3", "extra"], stdout=write, extra_fds=[extra_write])
    with Container.create(root, id, config) as container:
        container.run(process)
        process.wait()
        container.destroy()
    os.close(write)
    os.close(extra_write)
    with open(read) as out, open(extra_read) as extra:
        assert "out" in out.read()
        assert extra.read() == "extra"


TERMINALS = [
    Mount(destination="/dev", source="tmpfs", fstype="tmpfs"),
    Mount(destination="/dev/pts", source="devpts", fstype="devpts", data="newinstance,ptmxmode=0666"),
]


def test_a_failed_start_leaves_no_descriptor_and_no_pid_file(root: str, config: Config, id: str) -> None:
    """What the kernel cannot execute fails last of all: after the console, and after the pid file."""
    config.mounts += TERMINALS
    bad = os.path.join(config.rootfs, "bad")
    with open(bad, "w") as file:
        file.write("not a program")
    os.chmod(bad, 0o755)
    pid_file = os.path.join(os.path.dirname(root), "pid")
    gc.collect()
    before = open_fds()
    process = Process(["/probe", "hold"], terminal=True)
    with Container.create(root, id, config) as container:
        failing = Process(["/bad"], terminal=True, pid_file=pid_file)
        with pytest.raises(LaunchError, match="ENOEXEC"):
            container.run(failing)
    with Container.create(root, id, config) as container:
        container.run(process)
        failing = Process(["/bad"], terminal=True, pid_file=pid_file)
        with pytest.raises(LaunchError, match="ENOEXEC"):
            container.exec(failing)
        os.close(process.master)
        container.destroy(force=True)
    del container, process, failing
    gc.collect()  # pidfds of processes that an exception's frames hold
    assert open_fds() == before
    assert not os.path.exists(pid_file)


def test_terminal_without_socket_gives_the_caller_the_master(root: str, config: Config, id: str) -> None:
    config.mounts += TERMINALS
    process = Process(["/probe", "tty-info"], terminal=True, console_width=91, console_height=17)
    with Container.create(root, id, config) as container:
        container.run(process)
        text = b""
        try:
            while more := os.read(process.master, 4096):
                text += more
        except OSError:  # EIO: the last slave is closed
            pass
        os.close(process.master)
        assert process.wait() == 0
        container.destroy()
    assert b"91" in text
    assert b"17" in text


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../x", "a b", "a\n", "ü"])
def test_bad_ids_touch_nothing(root: str, config: Config, bad: str) -> None:
    with pytest.raises(UsageError):
        Container.create(root, bad, config)
    with pytest.raises(UsageError):
        Container.load(root, bad)
    assert not os.path.exists(root)


def test_a_config_made_by_hand_is_checked(root: str, config: Config, id: str) -> None:
    config.namespaces.append(Namespace(type="pid"))
    with pytest.raises(ConfigError, match="namespaces"):
        Container.create(root, id, config)
    assert not os.path.exists(root)


def test_an_id_is_taken_once(root: str, config: Config, id: str) -> None:
    with Container.create(root, id, config) as container:
        with pytest.raises(ContainerExistsError):
            Container.create(root, id, config)
        container.destroy()
        Container.create(root, id, config).destroy()


def test_a_failed_start_leaves_nothing(root: str, config: Config, id: str, tmp_path: os.PathLike[str]) -> None:
    marker = os.path.join(tmp_path, "poststop")
    config.hooks.create_runtime.append(Hook(path=PROBE, args=["probe", "fail", "3", "no"]))
    config.hooks.poststop.append(Hook(path=PROBE, args=["probe", "touch", marker]))
    before, offspring = open_fds(), children()
    failed = pytest.raises(HookError, match=r"createRuntime hook 0 .*exit status 3")
    with Container.create(root, id, config) as container, failed:
        container.run(Process(["/probe", "exit", "0"]))
    assert os.listdir(root) == []
    assert os.path.exists(marker)
    assert open_fds() == before
    assert children() == offspring
    assert processes_of(config.rootfs) == []


@pytest.mark.parametrize("what", ["mount", "program", "cgroup", "namespace"])
def test_failures_at_every_stage_are_errors_without_leftovers(root: str, config: Config, id: str, what: str) -> None:
    process = Process(["/nothing"] if what == "program" else ["/probe", "exit", "0"])
    if what == "mount":
        config.mounts.append(Mount(destination="/x", source="/nonexistent", fstype="bind", flags=4096))
    elif what == "cgroup":
        config.cgroups.resources.pids_limit = 5
        config.cgroups.resources.cpuset_cpus = "4000"
    elif what == "namespace":
        config.namespaces[2].path = "/nonexistent"
    before = open_fds()
    with pytest.raises(SeatrialError) as failure, Container.create(root, id, config) as container:
        container.run(process)
    assert "EN" in str(failure.value) or "EINVAL" in str(failure.value) or "ERANGE" in str(failure.value)
    assert not os.path.isdir(root) or os.listdir(root) == []
    assert open_fds() == before


def test_no_descriptor_and_no_zombie_is_left_over_many_containers(root: str, config: Config, id: str) -> None:
    def once() -> None:
        with Container.create(root, id, config) as container:
            process = Process(["/probe", "exit", "0"])
            container.run(process)
            process.wait()
            container.destroy()

    once()
    before, offspring = open_fds(), children()
    for _ in range(8):
        once()
    assert open_fds() == before
    assert children() == offspring


def test_threads_run_containers_side_by_side(root: str, config: Config, id: str) -> None:
    statuses: dict[int, int | None] = {}

    def one(number: int) -> None:
        with Container.create(root, f"{id}-{number}", config.copy()) as container:
            process = Process(["/probe", "exit", str(number)])
            container.run(process)
            statuses[number] = process.wait()
            container.destroy()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == {number: number for number in range(6)}
    assert os.listdir(root) == []


def test_two_threads_start_one_container_once(root: str, config: Config, id: str) -> None:
    with Container.create(root, id, config) as container:
        container.start(Process(["/probe", "hold"]))
        failures: list[Exception] = []

        def go() -> None:
            try:
                container.release()
            except StateError as error:
                failures.append(error)

        threads = [threading.Thread(target=go) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(failures) == 3
        assert container.status() == "running"
        container.destroy(force=True)


def test_kill_reaches_everything_where_pids_are_shared(root: str, config: Config, id: str) -> None:
    config.namespaces = [entry for entry in config.namespaces if entry.type != "pid"]
    with Container.create(root, id, config) as container:
        process = Process(["/probe", "child", "hold"])
        container.run(process)
        deadline = time.monotonic() + 10
        while len(container.processes()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(container.processes()) == 2
        container.signal(9)
        assert process.wait() == 137
        container.destroy()
    assert processes_of(config.rootfs) == []


def test_wait_gives_the_status_to_the_parent_and_the_end_to_everybody(root: str, config: Config, id: str) -> None:
    with Container.create(root, id, config) as container, Container.load(root, id) as other:
        with pytest.raises(StateError, match="has not been started"):
            other.wait()
        container.run(Process(["/probe", "hold"]))
        assert container.wait(0.01) is None
        assert other.wait(0.01) is None
        ends: list[int | None] = []
        waiter = threading.Thread(target=lambda: ends.append(other.wait()))
        waiter.start()
        other.signal(9)
        assert container.wait() == 128 + 9
        waiter.join(10)
        assert ends == [-1]
        container.destroy()
