"""Messages: sync points, the gate, refused plans, failures, and what happens when the parent goes away."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from executor_driver import HEAD, NOTHING_RAN, Drive, Operation, Outcome, encode, run, wait_until
from plans import container

from seatrial.native import operations as table

POINTS = [table.SYNC_CGROUP, table.SYNC_READY, table.SYNC_START]
SIMPLE: list[Operation] = [("sync", 9), ("environment", []), ("find", "/bin/true"), ("exec", ["true"])]


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_refused_plan_runs_nothing(executor: list[str]) -> None:
    """The first operation is a sync: it would be heard of."""
    plan = encode(SIMPLE)
    outcome = run(executor, plan[:-1] + b"x")
    assert outcome.messages == [
        (table.MESSAGE_ERROR, NOTHING_RAN, 0, 22, "operation 3 (exec): argument args does not end in NUL")
    ]
    assert outcome.status == 1


def test_a_plan_that_is_no_file_or_empty(executor: list[str]) -> None:
    assert run(executor, b"").messages == [(table.MESSAGE_ERROR, NOTHING_RAN, 0, 27, "the plan cannot be read")]


@pytest.mark.parametrize("words", [[], ["3"], ["3", "4", "3", "5"], ["x", "4", "3"], ["3", "3", "3"], ["3", "4", "5"]])
def test_bad_arguments(new_kernel: list[str], words: list[str]) -> None:
    assert subprocess.run([*new_kernel, *words], check=False).returncode == 2
    assert subprocess.run([*new_kernel, "2", "1", "0"], check=False).returncode == 2


def test_sync_waits_for_go(executor: list[str]) -> None:
    drive = Drive(executor, SIMPLE)
    drive.until(9)
    drive.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        drive.socket.recv(1)
    drive.socket.settimeout(None)
    drive.send(table.MESSAGE_GO)
    assert drive.go().status == 0


@pytest.mark.parametrize("answer", ["abort", "close"])
def test_an_aborted_sync_is_quiet(executor: list[str], answer: str) -> None:
    drive = Drive(executor, SIMPLE)
    drive.until(9)
    if answer == "abort":
        drive.send(table.MESSAGE_ABORT)
        outcome = drive.go()
    else:
        drive.socket.shutdown(socket.SHUT_RDWR)
        outcome = drive.finish()
    assert outcome.status == 1
    assert [message[0] for message in outcome.messages] == [table.MESSAGE_SYNC]


@pytest.mark.parametrize("answer", [b"", b"\7", HEAD.pack(99, 0, 0, 0), HEAD.pack(0xFFFFFFFF, 0, 0, 0)])
def test_a_strange_answer_is_no_go(executor: list[str], answer: bytes) -> None:
    drive = Drive(executor, SIMPLE)
    drive.until(9)
    drive.socket.send(answer)
    outcome = drive.go()
    assert outcome.status == 1
    if answer:
        assert outcome.error[:2] == (0, "EPROTO")


def test_a_child_is_announced_before_it_speaks(executor: list[str]) -> None:
    """Two processes share the socket; whichever runs first, the parent hears of a child before from it."""
    stages = 60
    outcome = run(executor, [("clone", 0), ("sync", 9)] * stages + SIMPLE)
    expected = [table.MESSAGE_CHILD, table.MESSAGE_SYNC] * stages + [table.MESSAGE_SYNC]
    assert [message[0] for message in outcome.messages] == expected
    assert outcome.status == 0


@pytest.mark.root
@pytest.mark.parametrize("point", POINTS)
def test_every_stage_leaves_with_its_parent(executor: list[str], rootfs: str, point: int) -> None:
    drive = Drive(executor, container(rootfs, ["probe", "hold", "60"]))
    drive.until(point)
    drive.socket.close()
    pids = [drive.process.pid, *drive.children]
    wait_until(lambda: all(gone(pid) for pid in pids))
    drive.finish()


@pytest.mark.root
def test_a_failure_names_its_operation(executor: list[str], rootfs: str) -> None:
    plan = container(rootfs, ["probe"], before=[("bind", "/nonexistent", "/x", 0)])
    outcome = run(executor, plan)
    index, error, detail = outcome.error
    assert (plan[index][0], error, detail) == ("bind", "ENOENT", "")
    assert outcome.status == 1


class Gate:
    """A created container: it waits on a listening socket."""

    def __init__(
        self, executor: list[str], rootfs: str, tmp_path: os.PathLike[str], args: list[str], *rows: Operation
    ) -> None:
        self.path = os.path.join(tmp_path, "gate")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.path)
        listener.listen(8)
        plan = container(rootfs, args)
        plan[-2:-1] = [("gate", listener.fileno()), *rows]
        self.plan = plan
        self.drive = Drive(executor, plan, descriptors={0: listener.fileno()})
        listener.close()
        self.outcome: Outcome | None = None

    def created(self) -> None:
        while message := self.drive.receive():
            if message[0] == table.MESSAGE_SYNC:
                self.drive.send(table.MESSAGE_GO)
        assert self.drive.process.wait() == 0  # the first stage is gone, the second one waits

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(20)
        try:
            client.connect(self.path)
        except OSError:
            client.close()
            raise
        return client


@pytest.mark.root
def test_the_gate(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    gate = Gate(executor, rootfs, tmp_path, ["probe", "print", "started"])
    gate.created()
    pid = gate.drive.children[-1]
    assert not gone(pid)
    gate.connect().close()  # a start that dies at once changes nothing
    with gate.connect() as client, gate.connect() as late:
        client.send(HEAD.pack(table.MESSAGE_GO, 0, 0, 0))
        assert client.recv(100) == b""
        with pytest.raises(ConnectionResetError):
            late.recv(100)
    with pytest.raises(ConnectionRefusedError):
        gate.connect()
    assert gate.drive.finish().status == 0


@pytest.mark.root
def test_the_gate_opens_once(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    """While a startContainer hook still runs, a second start is refused already."""
    words = ["p", "touch", "/hook", "--", "wait-file", "/end"]
    row: Operation = ("hook", "startContainer", "/bin/probe", words, [], 20, b"", b"")
    gate = Gate(executor, rootfs, tmp_path, ["probe"], row)
    gate.created()
    with gate.connect() as client:
        client.send(HEAD.pack(table.MESSAGE_GO, 0, 0, 0))
        wait_until(lambda: os.path.exists(os.path.join(rootfs, "hook")))
        with pytest.raises(ConnectionRefusedError):
            gate.connect()
        with open(os.path.join(rootfs, "end"), "w"):
            pass
        assert client.recv(100) == b""
    assert gate.drive.finish().status == 0


@pytest.mark.root
def test_an_aborted_gate(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    gate = Gate(executor, rootfs, tmp_path, ["probe", "touch", "/ran"])
    gate.created()
    with gate.connect() as client:
        client.send(HEAD.pack(table.MESSAGE_ABORT, 0, 0, 0))
        assert client.recv(100) == b""
    assert gate.drive.finish().status == 1
    assert not os.path.exists(os.path.join(rootfs, "ran"))


@pytest.mark.root
def test_failures_after_the_gate_go_to_start(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    row: Operation = ("hook", "startContainer", "/bin/probe", ["p", "fail", "5"], [], 0, b"", b"")
    gate = Gate(executor, rootfs, tmp_path, ["probe", "touch", "/ran"], row)
    gate.created()
    with gate.connect() as client:
        client.send(HEAD.pack(table.MESSAGE_GO, 0, 0, 0))
        message = client.recv(4096)
        kind, index, _, _ = HEAD.unpack_from(message)
        assert (kind, gate.plan[index]) == (table.MESSAGE_ERROR, row)
        assert b"ended with status 5" in message
        assert client.recv(100) == b""
    assert gate.drive.finish().status == 1
    assert not os.path.exists(os.path.join(rootfs, "ran"))
