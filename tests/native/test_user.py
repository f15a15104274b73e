"""Users by name from the container's own files, which are a stranger's; CPUs; the root of another process."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from executor_driver import Operation, Outcome, run
from plans import container, program

from seatrial.native import operations as table

pytestmark = pytest.mark.root

FOUND = table.USER_FOUND
PASSWD = """\
# a comment
broken
root:x:0:0:root:/root:/bin/sh
bob:x:1000:1001:Bob,,,:/home/bob:/bin/sh
negative:x:-1:5::/:
most:x:4294967294:4294967294::/:
nobody:x:4294967295:5::/:
twice:x:7:8::/first:
twice:x:9:9::/second:
"""
GROUP = "root:x:0:\nbob:x:1001:\nvideo:x:44:alice,bob\naudio:*:29:bob\nmine:x:31:bobby\nlast:x:32:carol,bob"


def write(rootfs: str, name: str, text: str) -> str:
    path = os.path.join(rootfs, "etc", name)
    with open(path, "w") as file:
        file.write(text)
    return path


def become(executor: list[str], rootfs: str, user: str, group: str = "", gids: list[int] | None = None) -> Outcome:
    rows: list[Operation] = [
        ("user", user, group), ("home", FOUND), ("groups", gids or []), ("identity", FOUND, FOUND),
    ]  # fmt: skip
    return run(executor, container(rootfs, ["probe", "report"], after=rows))


def ids(outcome: Outcome) -> tuple[int, int, list[int], str]:
    report: dict[str, Any] = outcome.lines[0]
    uids, gids = report["ids"]["uid"], report["ids"]["gid"]
    assert (len(set(uids)), len(set(gids))) == (1, 1)
    home = next(entry for entry in report["env"] if entry.startswith("HOME="))
    return uids[0], gids[0], sorted(report["ids"]["groups"]), home


@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        ("bob", "", (1000, 1001, [29, 32, 44], "HOME=/home/bob")),
        ("bob", "video", (1000, 44, [], "HOME=/home/bob")),
        ("bob", "5", (1000, 5, [], "HOME=/home/bob")),
        ("12", "audio", (12, 29, [], "HOME=/")),
        ("root", "", (0, 0, [], "HOME=/root")),
        ("twice", "", (7, 8, [], "HOME=/first")),
        ("most", "", (4294967294, 4294967294, [], "HOME=/")),
    ],
)
def test_names(
    executor: list[str], rootfs: str, user: str, group: str, expected: tuple[int, int, list[int], str]
) -> None:
    write(rootfs, "passwd", PASSWD)
    write(rootfs, "group", GROUP)
    assert ids(become(executor, rootfs, user, group)) == expected


def test_groups_are_added_to_those_of_the_plan(executor: list[str], rootfs: str) -> None:
    write(rootfs, "passwd", PASSWD)
    write(rootfs, "group", GROUP)
    assert ids(become(executor, rootfs, "bob", gids=[3, 44]))[2] == [3, 29, 32, 44, 44]


def test_without_a_group_file_there_are_no_groups(executor: list[str], rootfs: str) -> None:
    write(rootfs, "passwd", PASSWD)
    assert ids(become(executor, rootfs, "bob"))[:3] == (1000, 1001, [])


@pytest.mark.parametrize(
    ("user", "group", "why"),
    [
        ("eve", "", "not in /etc/passwd of the container"),
        ("", "", "not in /etc/passwd of the container"),
        ("negative", "", "not in /etc/passwd of the container"),
        ("nobody", "", "not in /etc/passwd of the container"),
        ("bob", "eves", "not in /etc/group of the container"),
        ("#", "", "not in /etc/passwd of the container"),
        ("broken", "", "not in /etc/passwd of the container"),
    ],
)
def test_unknown_names(executor: list[str], rootfs: str, user: str, group: str, why: str) -> None:
    write(rootfs, "passwd", PASSWD)
    write(rootfs, "group", GROUP)
    _, error, detail = become(executor, rootfs, user, group).error
    assert (error, detail) == ("ENOENT", why)


def test_without_user_the_ids_are_not_roots(executor: list[str], rootfs: str) -> None:
    """USER_FOUND is -1 to the kernel, which would leave root's ids in force."""
    for row in (("identity", FOUND, 0), ("identity", 0, FOUND), ("home", FOUND), ("stdio_owner", FOUND)):
        plan = container(rootfs, ["probe", "report"], after=[row])
        index, error, _ = run(executor, plan).error
        assert (plan[index], error) == (row, "EINVAL")


@pytest.mark.parametrize("kind", ["fifo", "symlink out", "directory", "device", "endless", "long line", "no newline"])
def test_hostile_files(executor: list[str], rootfs: str, tmp_path: os.PathLike[str], kind: str) -> None:
    path = os.path.join(rootfs, "etc/passwd")
    started = time.monotonic()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "symlink out":
        outside = os.path.join(tmp_path, "host-passwd")
        with open(outside, "w") as file:
            file.write("eve:x:1:1::/:\n")
        os.symlink(outside, path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
    elif kind == "endless":
        write(rootfs, "passwd", "")
        os.truncate(path, 1 << 42)
    elif kind == "long line":
        write(rootfs, "passwd", "eve:x:1:1::/" + "x" * 70000 + "\neve:x:3:3::/:\n")
    else:
        write(rootfs, "passwd", "eve:x:2:2::/:")
    outcome = become(executor, rootfs, "eve")
    if kind == "long line":
        assert ids(outcome)[0] == 3
    elif kind == "no newline":
        assert ids(outcome)[0] == 2
    else:
        assert outcome.error[1] in ("ENOENT", "EINVAL")
    assert time.monotonic() - started < 30


def test_affinity(executor: list[str], rootfs: str) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for cpus in ([allowed[0]], [allowed[-1]], allowed):
        mask = sum(1 << cpu for cpu in cpus).to_bytes(8, "little")
        report = run(executor, container(rootfs, ["probe", "report"], after=[("affinity", mask)])).lines[0]
        assert report["affinity"] == cpus
    plan = container(rootfs, ["probe"], after=[("affinity", bytes(8))])
    assert run(executor, plan).error[1] == "EINVAL"


def test_the_root_of_another_process(executor: list[str], rootfs: str) -> None:
    fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY)
    try:
        plan: list[Operation] = [("enter_root", fd), *program(["probe", "stat", "/", "--", "chdir", ".."])]
        outcome = run(executor, plan, descriptors={fd: fd})
        assert outcome.value(0)["ino"] == os.fstat(fd).st_ino
    finally:
        os.close(fd)

