"""The program's filter: loaded as given, refused when it is no filter, and its listener handed out."""

from __future__ import annotations

import os
import socket
import struct
import subprocess

import pytest
from executor_driver import HEAD, Drive, Operation, run
from plans import container

from seatrial.native import operations as table

pytestmark = pytest.mark.root

LOAD_NUMBER = struct.pack("<HBBI", 0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS: seccomp_data.nr
ALLOW, ERRNO, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
SYS_MKDIR, SYS_MKDIRAT, SYS_SENDMSG = 83, 258, 46


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


@pytest.mark.parametrize("action", [ERRNO | 1, ERRNO | 38], ids=["EPERM", "ENOSYS"])
def test_a_listener_is_handed_out_where_no_child_may_be_awaited(executor: list[str], rootfs: str, action: int) -> None:
    """wait4 and waitid refused: the executor does not need to know more than that the listener has been sent."""
    plan = container(rootfs, ["probe", "mkdir", "/x"])
    filter = LOAD_NUMBER
    for number, answer in ((SYS_MKDIR, NOTIFY), (SYS_MKDIRAT, NOTIFY), (WAIT4, action), (247, action)):
        filter += struct.pack("<HBBI", 0x15, 0, 1, number) + verdict(answer)
    plan[-1:-1] = [("seccomp", filter + verdict(ALLOW), 0, 1)]
    drive = Drive(executor, plan)
    while drive.receive() and table.MESSAGE_LISTENER not in drive.outcome.descriptors:
        if drive.outcome.messages[-1][0] == table.MESSAGE_SYNC:
            drive.send(table.MESSAGE_GO)
    os.close(drive.take(table.MESSAGE_LISTENER))
    assert drive.go().lines[0]["errno"] == "ENOSYS"


def test_the_executor_keeps_no_listener(executor: list[str], rootfs: str) -> None:
    """While it waits, its own copy would keep a call waiting that nobody answers any more."""
    plan = container(rootfs, ["probe", "print", "x"])
    plan[-1:-1] = [("seccomp", filter_of(NOTIFY, SYS_MKDIR), 0, 1), ("sync", table.SYNC_NETWORK)]
    drive = Drive(executor, plan)
    drive.until(table.SYNC_NETWORK)
    listener = drive.take(table.MESSAGE_LISTENER)
    pid = drive.children[-1]
    targets = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    assert not any("seccomp" in target for target in targets)
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        assert file.read() == ""  # nor a zombie
    os.close(listener)
    drive.send(table.MESSAGE_GO)
    drive.go()


def test_a_listener_is_handed_out_where_no_process_can_be_made(executor: list[str], rootfs: str) -> None:
    plan = container(rootfs, ["probe", "mkdir", "/x"])
    rows: list[Operation] = [("no_new_privs",), ("rlimit", 6, 1, 1), ("identity", 4711, 4711)]  # RLIMIT_NPROC
    plan[-1:-1] = [*rows, ("seccomp", filter_of(NOTIFY, SYS_MKDIR, SYS_MKDIRAT), 0, 1)]
    drive = Drive(executor, plan)
    while drive.receive() and table.MESSAGE_LISTENER not in drive.outcome.descriptors:
        if drive.outcome.messages[-1][0] == table.MESSAGE_SYNC:
            drive.send(table.MESSAGE_GO)
    os.close(drive.take(table.MESSAGE_LISTENER))
    assert drive.go().lines[0]["errno"] == "ENOSYS"


def allow_only(*numbers: int) -> bytes:
    body = b"".join(struct.pack("<HBBI", 0x15, 0, 1, number) + verdict(ALLOW) for number in numbers)
    return LOAD_NUMBER + body + verdict(0x80000000)  # SECCOMP_RET_KILL_PROCESS


# The list in seccomp.c, by its x86-64 numbers.
READ, WRITE, CLOSE, RT_SIGACTION, RT_SIGPROCMASK, RT_SIGRETURN = 0, 1, 3, 13, 14, 15
DUP2, GETPID, SENDMSG, CLONE = 33, 39, 46, 56
EXECVE, WAIT4, FCNTL, CLOCK_GETTIME, EXIT_GROUP, PPOLL, SET_ROBUST_LIST = 59, 61, 72, 228, 231, 271, 273
ACCEPT4, PIPE2 = 288, 293
HOOK = [PIPE2, RT_SIGACTION, RT_SIGPROCMASK, RT_SIGRETURN, GETPID, CLONE, SET_ROBUST_LIST, DUP2, FCNTL, PPOLL, WRITE]
HOOK += [CLOCK_GETTIME, WAIT4]


@pytest.fixture
def small(build_directory: str, rootfs: str) -> str:
    """A rootfs with a program that exits with 42 and does nothing else."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    source = os.path.join(os.path.dirname(__file__), "exit_42.c")
    output = os.path.join(rootfs, "bin", "small")
    command = ["gcc", "-O1", "-fno-stack-protector", "-nostdlib", "-nostartfiles", "-static", source, "-o", output]
    subprocess.run(command, check=True)
    return rootfs


@pytest.mark.parametrize("with_listener", [False, True], ids=["", "listener"])
@pytest.mark.parametrize("with_hook", [False, True], ids=["", "hook"])
@pytest.mark.parametrize("start", ["sync", "gate"])
def test_what_is_needed_after_the_filter(
    new_kernel: list[str], small: str, tmp_path: os.PathLike[str], start: str, with_hook: bool, with_listener: bool
) -> None:
    """The list in seccomp.c is complete: under a profile of just these calls (any other kills) the program starts."""
    calls = [READ, CLOSE, EXECVE, EXIT_GROUP]
    calls += [SENDMSG] if start == "sync" else [ACCEPT4]
    calls += [*HOOK, SENDMSG] if with_hook else []
    calls += [WAIT4] if with_listener else []
    plan = container(small, ["small"])
    rows: list[Operation] = [("no_new_privs",), ("seccomp", allow_only(*calls), 0, int(with_listener))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(os.path.join(tmp_path, "gate"))
        listener.listen(1)
        rows.append(("gate", listener.fileno()) if start == "gate" else ("sync", table.SYNC_START))
        if with_hook:  # it ends with 42: a failed hook, which is known only after all that a hook takes
            rows.append(("hook", "startContainer", "/bin/small", [], [], 5, b"state", b""))
        plan[-2:-1] = rows
        drive = Drive(new_kernel, plan, descriptors={0: listener.fileno()})
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(os.path.join(tmp_path, "gate"))
            client.send(HEAD.pack(table.MESSAGE_GO, 0, 0, 0))
            outcome = drive.go()
            told = client.recv(4096) if start == "gate" and with_hook else b""
    if not with_hook:
        assert outcome.status == 42
    elif start == "sync":
        assert "ended with status 42" in outcome.error[2]
    else:
        assert b"ended with status 42" in told
