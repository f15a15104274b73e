"""The table that decides how a process gets into its cgroup: one test a row."""

from __future__ import annotations

import errno

import pytest

from seatrial.runtime.birth import CLASSIC, ERROR, INTO_CGROUP, JOIN, PLAIN, give_birth


class Spawner:
    """Fails as told, and remembers the attempts."""

    def __init__(self, *failures: int, call: str = "clone3") -> None:
        self.failures = list(failures)
        self.call = call
        self.attempts: list[tuple[int, bool]] = []

    def __call__(self, cgroup_fd: int, classic: bool) -> tuple[int, int]:
        self.attempts.append((cgroup_fd, classic))
        if self.failures:
            raise OSError(self.failures.pop(0), f"{self.call}: refused")
        return 77, 8


def silent(_message: str) -> None:
    pass


def test_born_in_the_cgroup_at_the_first_attempt() -> None:
    spawner = Spawner()
    birth = give_birth(spawner, 5, silent)
    assert (birth.pid, birth.pidfd, birth.in_cgroup) == (77, 8, True)
    assert spawner.attempts == [(5, False)]


def test_without_a_cgroup_descriptor_it_is_joined() -> None:
    spawner = Spawner()
    assert not give_birth(spawner, -1, silent).in_cgroup
    assert spawner.attempts == [(-1, False)]


@pytest.mark.parametrize("number", [number for number, (decision, _) in INTO_CGROUP.items() if decision == CLASSIC])
def test_unsupported_goes_straight_to_clone(number: int) -> None:
    spawner = Spawner(number)
    messages: list[str] = []
    assert not give_birth(spawner, 5, messages.append).in_cgroup
    assert spawner.attempts == [(5, False), (-1, True)]
    assert errno.errorcode[number] in messages[0]


@pytest.mark.parametrize("number", [number for number, (decision, _) in INTO_CGROUP.items() if decision == JOIN])
def test_refused_is_spawned_outside_and_joined(number: int) -> None:
    spawner = Spawner(number)
    assert not give_birth(spawner, 5, silent).in_cgroup
    assert spawner.attempts == [(5, False), (-1, False)]


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.EBADF])
def test_real_failures_are_not_repeated(number: int) -> None:
    spawner = Spawner(number)
    with pytest.raises(OSError, match="refused") as failure:
        give_birth(spawner, 5, silent)
    assert failure.value.errno == number
    assert len(spawner.attempts) == 1
    assert INTO_CGROUP.get(number, (ERROR, ""))[0] == ERROR


@pytest.mark.parametrize("number", list(PLAIN))
def test_without_clone3_clone_is_used(number: int) -> None:
    spawner = Spawner(number)
    give_birth(spawner, -1, silent)
    assert spawner.attempts == [(-1, False), (-1, True)]


def test_refused_and_then_unsupported() -> None:
    spawner = Spawner(errno.EBUSY, errno.ENOSYS)
    give_birth(spawner, 5, silent)
    assert spawner.attempts == [(5, False), (-1, False), (-1, True)]


def test_a_child_that_failed_is_no_reason_to_try_again() -> None:
    spawner = Spawner(errno.EPERM, call="chdir")
    with pytest.raises(PermissionError):
        give_birth(spawner, 5, silent)
    assert len(spawner.attempts) == 1


def test_every_reason_says_something() -> None:
    assert all(reason for _, reason in [*INTO_CGROUP.values(), *PLAIN.values()])
