"""Process: one start, clones, and what it overrides in a container's configuration."""

from __future__ import annotations

import errno
import inspect
import os
from typing import Any

import pytest

from seatrial.runtime.config import (
    Capabilities,
    Config,
    CPUAffinity,
    IOPriority,
    Rlimit,
    Scheduler,
)
from seatrial.runtime.config import Process as ConfigProcess
from seatrial.runtime.errors import StateError, UsageError
from seatrial.runtime.process import Process

# Something else than the default for every public field.
OTHER: dict[str, Any] = {
    "args": ["/bin/true", "x"],
    "env": ["A=b"],
    "cwd": "/srv",
    "uid": 5,
    "gid": 6,
    "user": "bob:staff",
    "additional_gids": [7],
    "umask": 0o27,
    "terminal": True,
    "console_width": 80,
    "console_height": 24,
    "stdin": 10,
    "stdout": 11,
    "stderr": 12,
    "extra_fds": [13],
    "console_socket": "/run/console",
    "pid_file": "/run/pid",
    "pidfd_socket": "/s",
    "capabilities": Capabilities(bounding=1),
    "rlimits": [Rlimit(type=7, soft=1, hard=2)],
    "scheduler": Scheduler(policy=3),
    "io_priority": IOPriority(io_class=2),
    "oom_score_adj": 9,
    "no_new_privileges": False,
    "apparmor_profile": "profile",
    "process_label": "label",
    "cpu_affinity": CPUAffinity(final="0"),
    "sub_cgroups": {"": "sub"},
}


def other() -> Process:
    return Process(**OTHER)


def test_public_names_every_field_and_every_argument() -> None:
    fields = {name for name in vars(Process([])) if not name.startswith("_")}
    assert fields == {*Process.PUBLIC, "master"}  # the master is what a start gives, not what it takes
    assert list(inspect.signature(Process).parameters) == list(Process.PUBLIC)
    assert set(OTHER) == set(Process.PUBLIC)
    plain = Process([])
    assert not [name for name in Process.PUBLIC if getattr(plain, name) == OTHER[name]]


@pytest.mark.parametrize("name", Process.PUBLIC)
def test_clone_copies_the_field(name: str) -> None:
    process = other()
    value = getattr(process.clone(), name)
    assert value == OTHER[name]
    if isinstance(value, (list, dict)) or hasattr(value, "copy"):
        assert value is not getattr(process, name)
    if isinstance(value, list):
        pairs = zip(value, getattr(process, name), strict=True)
        assert not any(one is two for one, two in pairs if hasattr(one, "copy"))


def test_clone_has_nothing_of_the_private_state() -> None:
    process = other()
    process.begin()
    process.began(4711, -1)
    process.master = 5
    process.note_exit(3)
    clone = process.clone()
    assert (clone.started, clone.pidfd, clone.master) == (False, -1, -1)
    with pytest.raises(StateError, match="has not been started"):
        clone.wait()
    clone.begin()


def test_a_second_start_is_refused_whatever_became_of_the_first() -> None:
    process = other()
    process.begin()
    with pytest.raises(StateError, match=r"started already; start a clone\(\) of it"):
        process.begin()


def config() -> Config:
    return Config(
        oci_version="1.3.0",
        bundle="/b",
        rootfs="/b/r",
        process=ConfigProcess(args=["init"], cwd="/"),
        capabilities=Capabilities(bounding=3),
        rlimits=[Rlimit(type=1, soft=1, hard=1)],
        no_new_privileges=True,
        oom_score_adj=1,
        apparmor_profile="container",
        process_label="container",
    )


def test_what_is_unset_is_the_containers() -> None:
    theirs = config()
    Process(["init"]).apply_to(theirs)
    assert theirs == config()
    assert not Process(["init"]).differs_from(theirs)


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("capabilities", "capabilities"),
        ("rlimits", "rlimits"),
        ("scheduler", "scheduler"),
        ("io_priority", "io_priority"),
        ("oom_score_adj", "oom_score_adj"),
        ("no_new_privileges", "no_new_privileges"),
        ("apparmor_profile", "apparmor_profile"),
        ("process_label", "process_label"),
        ("cpu_affinity", "exec_cpu_affinity"),
    ],
)
def test_what_is_set_overrides_the_containers(name: str, member: str) -> None:
    process = Process(["init"], **{name: OTHER[name]})
    theirs = config()
    assert process.differs_from(theirs)
    process.apply_to(theirs)
    assert getattr(theirs, member) == OTHER[name]
    assert theirs == config().replace(**{member: OTHER[name]})


def test_zero_and_false_are_set() -> None:
    theirs = config()
    Process(["init"], no_new_privileges=False, oom_score_adj=0).apply_to(theirs)
    assert (theirs.no_new_privileges, theirs.oom_score_adj) == (False, 0)


@pytest.mark.parametrize(
    ("user", "uid", "gid", "name"),
    [("5", 5, 9, ""), ("5:6", 5, 6, ""), ("bob", 1, 9, "bob"), ("bob:6", 1, 9, "bob:6"), ("5:staff", 1, 9, "5:staff")],
)
def test_numbers_need_no_look_up(user: str, uid: int, gid: int, name: str) -> None:
    theirs = config()
    Process(["x"], uid=1, gid=9, user=user).apply_to(theirs)
    assert theirs.process is not None
    assert (theirs.process.uid, theirs.process.gid, theirs.process.user) == (uid, gid, name)


@pytest.mark.parametrize("user", [":5", "a:", "a:b:c", "4294967295", "1:99999999999", "a\0b", "a\nb"])
def test_what_cannot_be_a_user_is_refused(user: str) -> None:
    with pytest.raises(UsageError, match="invalid"):
        Process(["x"], user=user).apply_to(config())


def test_pipes_belong_to_both_sides() -> None:
    process = Process(["x"])
    ours = process.pipes()
    theirs = (process.stdin, process.stdout, process.stderr)
    try:
        os.write(ours[0], b"to stdin")
        assert os.read(theirs[0], 99) == b"to stdin"
        os.write(theirs[2], b"from stderr")
        assert os.read(ours[2], 99) == b"from stderr"
        assert not any(os.get_inheritable(fd) for fd in (*ours, *theirs))
        process.close_child_ends()
        assert os.read(ours[1], 99) == b""
        with pytest.raises(OSError, match="Bad file") as closed:
            os.fstat(theirs[0])
        assert closed.value.errno == errno.EBADF
        process.begin()
        with pytest.raises(StateError, match="make the pipes before"):
            process.pipes()
    finally:
        for fd in ours:
            os.close(fd)
