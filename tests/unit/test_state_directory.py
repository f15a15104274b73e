"""The state directory: reserving, locking, state.json, status; no root, no container."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

from seatrial.runtime.errors import ContainerExistsError, ContainerNotFoundError, StateError, SyscallError
from seatrial.runtime.state import (
    CREATED,
    CREATING,
    RUNNING,
    STOPPED,
    State,
    StateDirectory,
    init_alive,
    process_stat,
    report,
    status_of,
)

CONFIG = {"bundle": "/b", "rootfs": "/b/rootfs", "namespaces": []}


def state_of_this_process(ready: bool = True) -> State:
    state = State("c1", CONFIG)
    state.init_process_pid = os.getpid()
    found = process_stat(os.getpid())
    assert found is not None
    state.init_process_start = found[1]
    state.ready = ready
    return state


@pytest.fixture
def root(tmp_path: os.PathLike[str]) -> str:
    return os.path.join(tmp_path, "a", "root")


def test_reserve_makes_the_root_private_and_the_directory_passable(root: str) -> None:
    old = os.umask(0o077)
    try:
        with StateDirectory.reserve(root, "c1") as directory:
            assert stat.S_IMODE(os.stat(root).st_mode) == 0o700
            assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o711
            assert directory.load() is None
    finally:
        os.umask(old)


def test_an_id_is_reserved_once(root: str) -> None:
    with StateDirectory.reserve(root, "c1"), pytest.raises(ContainerExistsError, match="c1 exists already"):
        StateDirectory.reserve(root, "c1")
    with pytest.raises(ContainerExistsError):
        StateDirectory.reserve(root, "c1")


def test_too_long_an_id_is_an_error(root: str) -> None:
    with pytest.raises(SyscallError, match="ENAMETOOLONG"):
        StateDirectory.reserve(root, "a" * 300)
    with pytest.raises(ContainerNotFoundError):
        StateDirectory.open(root, "a" * 300)


def test_a_symlink_is_no_container(root: str, tmp_path: os.PathLike[str]) -> None:
    os.makedirs(root)
    os.symlink(str(tmp_path), os.path.join(root, "c1"))
    with pytest.raises(SyscallError, match=r"ENOTDIR|ELOOP"):
        StateDirectory.open(root, "c1")
    with pytest.raises(ContainerExistsError):
        StateDirectory.reserve(root, "c1")


def test_the_lock_excludes_other_open_directories(root: str) -> None:
    with StateDirectory.reserve(root, "c1") as first, StateDirectory.open(root, "c1") as second:
        assert first.busy()
        assert second.busy()
        assert not second.try_lock()
        with pytest.raises(StateError, match="another operation"):
            second.lock(0.05)
        first.unlock()
        assert not first.busy()
        second.lock(0)
        assert first.busy()


def test_the_lock_dies_with_its_holder(root: str) -> None:
    StateDirectory.reserve(root, "c1").close()
    code = (
        "import sys, os\nfrom seatrial.runtime.state import StateDirectory\n"
        f"d = StateDirectory.open({root!r}, 'c1'); d.lock(0); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with StateDirectory.open(root, "c1") as directory:
            assert not directory.try_lock()
            holder.kill()
            holder.wait()
            directory.lock(1)


def test_a_removed_directory_cannot_be_locked(root: str) -> None:
    with StateDirectory.reserve(root, "c1") as first, StateDirectory.open(root, "c1") as second:
        first.remove()
        first.close()
        with pytest.raises(ContainerNotFoundError):
            second.lock(1)
        with StateDirectory.reserve(root, "c1"), pytest.raises(ContainerNotFoundError):
            second.lock(1)


def test_state_survives_the_disk(root: str) -> None:
    state = state_of_this_process()
    state.cgroup_paths = {"memory": "/sys/fs/cgroup/memory/x"}
    state.late_operations = {"9": "exec"}
    with StateDirectory.reserve(root, "c1") as directory:
        directory.save(state)
        loaded = directory.load()
        assert loaded is not None
        assert loaded.to_json() == state.to_json()
        assert os.listdir(directory.path) == ["state.json"]


def test_remove_takes_everything_and_may_be_repeated(root: str) -> None:
    with StateDirectory.reserve(root, "c1") as directory:
        directory.save(state_of_this_process())
        os.makedirs(os.path.join(directory.path, "x", "y"))
        directory.remove()
        assert os.listdir(root) == []
        directory.remove()


def test_status_of_a_reserved_container_depends_on_its_creator(root: str) -> None:
    state = state_of_this_process(ready=False)
    with StateDirectory.reserve(root, "c1") as directory:
        assert status_of(directory, state) == CREATING
        directory.unlock()
        assert status_of(directory, state) == STOPPED


def test_status_of_a_living_init_depends_on_its_program(root: str) -> None:
    state = state_of_this_process()
    with StateDirectory.reserve(root, "c1") as directory:
        assert status_of(directory, state) == RUNNING
        program = os.stat("/proc/self/exe")
        state.executor = [program.st_dev, program.st_ino]
        assert status_of(directory, state) == CREATED


def test_a_pid_counts_only_with_its_start_time(root: str) -> None:
    state = state_of_this_process()
    assert init_alive(state)
    state.init_process_start += 1
    assert not init_alive(state)
    with StateDirectory.reserve(root, "c1") as directory:
        assert status_of(directory, state) == STOPPED


def test_a_zombie_is_stopped() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = process_stat(child.pid)
    assert found is not None
    assert found[0] == "Z"
    state = state_of_this_process()
    state.init_process_pid, state.init_process_start = child.pid, found[1]
    assert not init_alive(state)
    child.wait()
    assert process_stat(child.pid) is None


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EMFILE, errno.EACCES])
def test_what_the_kernel_does_not_tell_is_no_death(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of_this_process()

    def fail(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(SyscallError, match=errno.errorcode[number]):
            init_alive(state)
    assert init_alive(state)


def test_a_command_name_cannot_fool_the_reader_of_proc_stat() -> None:
    code = "import sys; open('/proc/self/comm','w').write(') Z 1 (x) 2'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = process_stat(child.pid)
        assert found is not None
        assert found[0] in "SRD"
        assert found[1] > 0
        child.kill()


def test_report_is_the_state_of_the_specification() -> None:
    state = state_of_this_process()
    state.config = CONFIG | {"annotations": {"a": "b"}}
    document = report(state, RUNNING)
    assert document["pid"] == os.getpid()
    assert document["annotations"] == {"a": "b"}
    assert report(state, STOPPED)["pid"] == 0
    assert "annotations" not in report(state_of_this_process(), RUNNING)
