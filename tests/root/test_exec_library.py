"""`Container.exec`: several processes of one container in one program."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest
from bundles import Bundle, library_config

from seatrial.conformance.airlock.orphans import children
from seatrial.runtime import Container, Process
from seatrial.runtime.errors import ConfigError, StateError, UsageError
from seatrial.runtime.launch import LaunchError, executor

NULL = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)


@pytest.fixture
def container(bundle: Bundle, tmp_path: os.PathLike[str]) -> Iterator[Container]:
    config = library_config(bundle)
    made = Container.create(os.path.join(tmp_path, "root"), f"xl-{os.getpid()}", config)
    made.run(Process(["/probe", "hold"], stdout=NULL))
    yield made
    made.destroy(force=True)


def descriptors() -> list[str]:
    gc.collect()  # processes that an exception's frames hold
    executor()
    return sorted(os.listdir("/proc/self/fd"))


def test_pipes_and_the_status(container: Container) -> None:
    process = Process(["/probe", "read-fd", "0", "--", "exit", "9"])
    stdin, stdout, stderr = process.pipes()
    container.exec(process)
    os.write(stdin, b"typed")
    with open(stdout) as file:
        assert '"typed"' in file.read()
    assert process.wait() == 9
    for fd in (stdin, stderr):
        os.close(fd)


def test_a_terminal_has_a_master(container: Container, bundle: Bundle) -> None:
    process = Process(["/probe", "tty-info"], terminal=True)
    with pytest.raises(LaunchError, match="set up the console: ENOENT"):  # this container has no devpts
        container.exec(process)
    assert process.master == -1


def test_a_process_is_started_once(container: Container) -> None:
    process = Process(["/probe", "exit", "4"])
    container.exec(process)
    with pytest.raises(StateError, match="started already"):
        container.exec(process)
    again = process.clone()
    container.exec(again)
    assert (process.wait(), again.wait()) == (4, 4)
    failed = Process(["/nosuch"])
    with pytest.raises(LaunchError, match="find executable /nosuch: ENOENT"):
        container.exec(failed)
    with pytest.raises(StateError, match="started already"):
        container.exec(failed)


def test_what_is_wrong_is_said_before_anything_runs(container: Container) -> None:
    before = descriptors(), children()
    with pytest.raises(ConfigError, match=r"process\.args"):
        container.exec(Process([]))
    with pytest.raises(ConfigError, match=r"process\.cwd"):
        container.exec(Process(["/probe"], cwd="tmp"))
    with pytest.raises(UsageError, match="invalid user"):
        container.exec(Process(["/probe"], user="a:b:c"))
    with pytest.raises(UsageError, match="no cgroup of controller"):
        container.exec(Process(["/probe"], sub_cgroups={"nosuch": "x"}))
    assert (descriptors(), children()) == before


def test_signals_and_waiting(container: Container) -> None:
    process = Process(["/probe", "hold"], stdout=NULL)
    container.exec(process)
    assert process.wait(0.05) is None
    assert process.pid in container.processes()
    process.signal(9)
    assert process.wait() == 137
    assert container.status() == "running"


def test_many_threads_and_nothing_is_left(container: Container) -> None:
    first = Process(["/probe", "exit", "0"], stdout=NULL)  # what is imported once is open once
    container.exec(first)
    first.wait()
    del first
    before = descriptors(), len(children())
    statuses: dict[int, int | None] = {}

    def one(number: int) -> None:
        process = Process(["/probe", "exit", str(number)], stdout=NULL)
        container.exec(process)
        statuses[number] = process.wait()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == {number: number for number in range(24)}
    assert (descriptors(), len(children())) == before
