"""The program's filter: loaded as given, refused when it is no filter, and its listener handed out."""

from __future__ import annotations

import os
import struct

import pytest
from executor_driver import Drive, Operation, run
from plans import container

from seatrial.native import operations as table

pytestmark = pytest.mark.root

LOAD_NUMBER = struct.pack("<HBBI", 0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS: seccomp_data.nr
ALLOW, ERRNO, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
SYS_MKDIR, SYS_MKDIRAT, SYS_SENDMSG, SYS_WRITE = 83, 258, 46, 1


def verdict(action: int) -> bytes:
    return struct.pack("<HBBI", 0x06, 0, 0, action)


def filter_of(action: int, *numbers: int) -> bytes:
    body = b"".join(struct.pack("<HBBI", 0x15, 0, 1, number) + verdict(action) for number in numbers)
    return LOAD_NUMBER + body + verdict(ALLOW)


def last(rootfs: str, verbs: str, *rows: Operation) -> list[Operation]:
    """A container whose filter is the last thing before the start."""
    plan = container(rootfs, ["probe", *verbs.split()])
    plan[-2:-2] = rows
    return plan


@pytest.mark.parametrize("flags", [0, 2])  # none: prctl; SECCOMP_FILTER_FLAG_LOG: seccomp(2)
def test_a_filter(executor: list[str], rootfs: str, flags: int) -> None:
    rows: list[Operation] = [("no_new_privs",), ("seccomp", filter_of(ERRNO | 95, SYS_MKDIR, SYS_MKDIRAT), flags, 0)]
    outcome = run(executor, last(rootfs, "mkdir /x -- report", *rows))
    assert outcome.lines[0]["errno"] in ("EOPNOTSUPP", "ENOTSUP")
    assert outcome.lines[1]["seccomp"]["mode"] == 2


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 7, filter_of(ERRNO) + b"\0", b"\xff" * 8, LOAD_NUMBER, verdict(ALLOW) * 4097]
)
def test_no_filter(executor: list[str], rootfs: str, raw: bytes) -> None:
    plan = last(rootfs, "report", ("no_new_privs",), ("seccomp", raw, 0, 0))
    index, error, _ = run(executor, plan).error
    assert (plan[index][0], error) == ("seccomp", "EINVAL")


def test_the_listener_flag_is_not_smuggled(executor: list[str], rootfs: str) -> None:
    plan = last(rootfs, "report", ("seccomp", filter_of(ERRNO), 8, 0))
    assert run(executor, plan).error[1] == "EINVAL"


def test_a_listener_is_handed_out(executor: list[str], rootfs: str) -> None:
    """Even when the filter notifies of the call that sends it; close the listener and the call fails with ENOSYS."""
    rows: list[Operation] = [("seccomp", filter_of(NOTIFY, SYS_MKDIR, SYS_MKDIRAT, SYS_SENDMSG), 0, 1)]
    plan = container(rootfs, ["probe", "mkdir", "/x"])
    plan[-1:-1] = rows
    drive = Drive(executor, plan)
    while drive.receive() and table.MESSAGE_LISTENER not in drive.outcome.descriptors:
        if drive.outcome.messages[-1][0] == table.MESSAGE_SYNC:
            drive.send(table.MESSAGE_GO)
    listener = drive.take(table.MESSAGE_LISTENER)
    assert "seccomp" in os.readlink(f"/proc/self/fd/{listener}")
    os.close(listener)
    assert drive.go().lines[0]["errno"] == "ENOSYS"


def test_what_is_needed_after_the_filter(new_kernel: list[str], rootfs: str) -> None:
    """The list in seccomp.c, for the shortest way: read the answer to the last sync, execve.  Everything else that the
    probe needs is allowed by letting the filter end with its execve: its first argument is checked by no one, so the
    profile here allows what the static probe calls and refuses the mount, process and identity calls."""
    refused = [165, 161, 155, 105, 117, 119, 126, 157, 56, 57, 58, 81, 82, 95, 272, 308, 435, 436, 425, 437, 257, 2, 332]
    refused = [number for number in refused if number not in (257, 2, 332)]
    rows: list[Operation] = [("seccomp", filter_of(ERRNO | 1, *refused), 0, 0)]
    assert run(new_kernel, last(rootfs, "print x", *rows)).status == 0
