"""The table that decides how a process gets into its cgroup: one test a row."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from seatrial.runtime.birth import CLASSIC, ERROR, INIT, INTO_CGROUP, JOIN, NO_INIT, PLAIN, Birth, give_birth
from seatrial.runtime.errors import StateError
from seatrial.runtime.process import Process


class Spawner:
    """Fails as told, remembers the attempts, and spoils the Process of each."""

    def __init__(self, *failures: int, call: str = "clone3") -> None:
        self.failures = list(failures)
        self.call = call
        self.attempts: list[tuple[int, bool]] = []
        self.processes: list[Process] = []
        self.seen: list[tuple[list[str], list[int]]] = []

    def __call__(self, process: Process, cgroup_fd: int, classic: bool) -> tuple[int, int]:
        self.attempts.append((cgroup_fd, classic))
        self.processes.append(process)
        self.seen.append((list(process.args), list(process.extra_fds)))
        process.args.clear()
        process.extra_fds.append(99)
        if self.failures:
            raise OSError(self.failures.pop(0), f"{self.call}: refused")
        return 77, 8


def silent(_message: str) -> None:
    pass


def born(spawner: Spawner, cgroup_fd: int, **options: Any) -> Birth:
    process = Process(["/bin/true"], extra_fds=[4])
    process.begin()
    return give_birth(process, spawner, cgroup_fd, options.pop("debug", silent), **options)


def rows(decision: str) -> list[int]:
    """The errnos of a spawn into a cgroup that have this decision; for INIT see its own tests."""
    return [number for number, row in INTO_CGROUP.items() if row[0] == decision]


def test_born_in_the_cgroup_at_the_first_attempt() -> None:
    spawner = Spawner()
    birth = born(spawner, 5)
    assert (birth.pid, birth.pidfd, birth.in_cgroup) == (77, 8, True)
    assert spawner.attempts == [(5, False)]


def test_without_a_cgroup_descriptor_it_is_joined() -> None:
    spawner = Spawner()
    assert not born(spawner, -1).in_cgroup
    assert spawner.attempts == [(-1, False)]


def test_the_table_is_the_one_of_the_documentation() -> None:
    assert {number: row[0] for number, row in INTO_CGROUP.items()} == {
        errno.ENOSYS: CLASSIC,
        errno.E2BIG: CLASSIC,
        errno.EINVAL: CLASSIC,
        errno.EPERM: CLASSIC,
        errno.EOPNOTSUPP: JOIN,
        errno.EACCES: JOIN,
        errno.EBUSY: INIT,
        errno.ENODEV: INIT,
        errno.EAGAIN: ERROR,
        errno.ENOMEM: ERROR,
    }
    assert set(PLAIN) == {errno.ENOSYS, errno.E2BIG, errno.EINVAL, errno.EPERM}
    assert NO_INIT == {errno.EBUSY: JOIN, errno.ENODEV: ERROR}


@pytest.mark.parametrize("number", rows(CLASSIC))
def test_unsupported_goes_straight_to_clone(number: int) -> None:
    spawner = Spawner(number)
    messages: list[str] = []
    assert not born(spawner, 5, debug=messages.append).in_cgroup
    assert spawner.attempts == [(5, False), (-1, True)]
    assert errno.errorcode[number] in messages[0]


@pytest.mark.parametrize("number", [*rows(JOIN), errno.EBUSY])
def test_refused_is_spawned_outside_and_joined(number: int) -> None:
    """EBUSY too, where there is no init to follow."""
    spawner = Spawner(number)
    assert not born(spawner, 5).in_cgroup
    assert spawner.attempts == [(5, False), (-1, False)]


@pytest.mark.parametrize("number", rows(INIT))
def test_exec_follows_init_into_its_cgroup(number: int) -> None:
    spawner = Spawner(number)
    assert born(spawner, 5, init_cgroup=lambda: 6).in_cgroup
    assert spawner.attempts == [(5, False), (6, False)]


def test_init_that_is_in_the_same_cgroup_is_no_way_out() -> None:
    spawner = Spawner(errno.EBUSY)
    assert not born(spawner, 5, init_cgroup=lambda: -1).in_cgroup
    assert spawner.attempts == [(5, False), (-1, False)]


def test_init_is_followed_once() -> None:
    spawner = Spawner(errno.EBUSY, errno.EBUSY)
    assert not born(spawner, 5, init_cgroup=lambda: 6).in_cgroup
    assert spawner.attempts == [(5, False), (6, False), (-1, False)]


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.EBADF])
def test_real_failures_are_not_repeated(number: int) -> None:
    spawner = Spawner(number)
    with pytest.raises(OSError, match="refused") as failure:
        born(spawner, 5)
    assert failure.value.errno == number
    assert len(spawner.attempts) == 1


@pytest.mark.parametrize("number", list(PLAIN))
def test_without_clone3_clone_is_used(number: int) -> None:
    spawner = Spawner(number)
    born(spawner, -1)
    assert spawner.attempts == [(-1, False), (-1, True)]


def test_refused_and_then_unsupported() -> None:
    spawner = Spawner(errno.EOPNOTSUPP, errno.ENOSYS)
    born(spawner, 5)
    assert spawner.attempts == [(5, False), (-1, False), (-1, True)]


def test_clone_is_the_last_attempt() -> None:
    spawner = Spawner(errno.ENOSYS, errno.ENOSYS, call="clone3")
    with pytest.raises(OSError, match="refused"):
        born(spawner, 5)
    assert spawner.attempts == [(5, False), (-1, True)]


def test_a_child_that_failed_is_no_reason_to_try_again() -> None:
    spawner = Spawner(errno.EPERM, call="chdir")
    with pytest.raises(PermissionError):
        born(spawner, 5)
    assert len(spawner.attempts) == 1


def test_each_attempt_has_a_process_that_no_other_has_touched() -> None:
    spawner = Spawner(errno.EBUSY, errno.EOPNOTSUPP, errno.ENOSYS)
    birth = born(spawner, 5, init_cgroup=lambda: 6)
    assert spawner.attempts == [(5, False), (6, False), (-1, False), (-1, True)]
    assert spawner.seen == [(["/bin/true"], [4])] * 4
    assert len({id(process) for process in spawner.processes}) == 4
    assert birth.process is spawner.processes[-1]
    for process in spawner.processes:
        with pytest.raises(StateError, match="started already"):
            process.begin()


def test_every_reason_says_something() -> None:
    assert all(reason for _, reason in [*INTO_CGROUP.values(), *PLAIN.values()])
