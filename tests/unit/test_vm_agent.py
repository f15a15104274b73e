"""The agent and the host's side of its protocol, over a socket pair: the agent is a child of this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.vm.agent_machine import AgentMachine
from seatrial.vm.channel import Connection
from seatrial.vm.errors import Diagnosis, GuestError
from seatrial.vm.guest import agent
from seatrial.vm.machine import Blueprint

PATIENCE = 60.0


class LocalMachine(AgentMachine):
    """The agent as a process of this host."""

    def __init__(self) -> None:
        self.blueprint = Blueprint()
        ours, its = socket.socketpair()
        code = f"import runpy; m = runpy.run_path({agent.__file__!r}); m['Agent']({its.fileno()}).run()"
        self.process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[its.fileno()])
        its.close()
        self.connection = Connection(ours)
        self.connection.ready(PATIENCE)

    @property
    def stamp(self) -> dict[str, Any]:
        return {}

    def diagnose(self, verdict: str) -> Diagnosis:
        return Diagnosis(verdict)

    def close(self) -> None:
        self.stop_forwarding()
        self.process.kill()
        self.process.wait()
        self.connection.close()


@pytest.fixture
def machine() -> Iterator[LocalMachine]:
    made = LocalMachine()
    yield made
    made.close()


def test_streams_and_status(machine: LocalMachine) -> None:
    done = machine.run(["sh", "-c", "cat; echo no >&2; exit 7"], stdin=b"hello", cwd="/", timeout=PATIENCE)
    assert (done.status, done.stdout, done.stderr) == (7, b"hello", b"no\n")


def test_signal_that_ended_it(machine: LocalMachine) -> None:
    assert machine.run(["sh", "-c", "kill -9 $$"], cwd="/", timeout=PATIENCE).status == -9


@pytest.mark.parametrize(("argv", "cwd"), [(["/no/such"], "/"), (["true"], "/no/such")])
def test_command_that_cannot_start(machine: LocalMachine, argv: list[str], cwd: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        machine.run(argv, cwd=cwd, timeout=PATIENCE)
    assert caught.value.filename == "/no/such"


def test_environment_and_directory(machine: LocalMachine) -> None:
    done = machine.run(["sh", "-c", "echo $WORD; pwd"], env={"WORD": "given"}, cwd="/usr", timeout=PATIENCE)
    assert done.stdout == b"given\n/usr\n"


def test_much_through_a_slow_reader(machine: LocalMachine) -> None:
    sent = os.urandom(3 << 20)
    done = machine.run(["sh", "-c", "sleep 0.3; cat"], stdin=sent, cwd="/", timeout=PATIENCE)
    assert done.stdout == sent


def test_timeout_kills(machine: LocalMachine) -> None:
    with pytest.raises(TimeoutError, match="sleep"):
        machine.run(["sleep", "1000"], cwd="/", timeout=0.2)


def test_signal_reaches_the_command(machine: LocalMachine) -> None:
    script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    command = machine.start(["sh", "-c", script], cwd="/")
    said = bytearray()

    def hear(data: bytes) -> None:
        said.extend(data)
        if b"ready" in data:
            command.signal(signal.SIGTERM)

    assert command.wait(PATIENCE, hear, hear) == 3
    assert said.endswith(b"caught\n")


def test_child_that_stays_behind_does_not_keep_us(machine: LocalMachine) -> None:
    started = time.monotonic()
    done = machine.run(["sh", "-c", "sleep 300 & echo $!"], cwd="/", timeout=PATIENCE)
    assert time.monotonic() - started < 100
    os.kill(int(done.stdout), signal.SIGKILL)


def test_commands_side_by_side(machine: LocalMachine) -> None:
    found: dict[int, bytes] = {}

    def run(number: int) -> None:
        found[number] = machine.run(["sh", "-c", f"sleep 0.1; echo {number}"], cwd="/", timeout=PATIENCE).stdout

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: b"%d\n" % number for number in range(8)}


def test_terminal_of_a_size(machine: LocalMachine) -> None:
    command = machine.start(["sh", "-c", "stty size; test -t 1 && echo terminal"], cwd="/", terminal=(31, 97))
    said = bytearray()
    assert command.wait(PATIENCE, said.extend, said.extend) == 0
    assert bytes(said).split() == [b"31", b"97", b"terminal"]


def test_files_in_and_out(machine: LocalMachine, tmp_path: Path) -> None:
    source = tmp_path / "source.d"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_bytes(b"content")
    (source / "link").symlink_to("deep/file")
    machine.copy_in(str(source), str(tmp_path / "in,si&de.1"))
    machine.copy_out(str(tmp_path / "in,si&de.1"), str(tmp_path / "back.2"))
    assert (tmp_path / "back.2/deep/file").read_bytes() == b"content"
    assert (tmp_path / "back.2/link").readlink() == Path("deep/file")


def test_file_that_is_not_there(machine: LocalMachine, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such"):
        machine.copy_out(str(tmp_path / "no-such"), str(tmp_path / "target"))


def test_port_is_forwarded(machine: LocalMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = machine.forward(server.getsockname()[1])
        with socket.create_connection(address, timeout=PATIENCE) as client:
            peer, _ = server.accept()
            client.sendall(b"ping")
            assert peer.recv(16) == b"ping"
            peer.sendall(b"pong")
            assert client.recv(16) == b"pong"
            peer.close()
            assert client.recv(16) == b""


def test_machine_that_dies_while_a_command_runs(machine: LocalMachine) -> None:
    command = machine.start(["sleep", "1000"], cwd="/")
    threading.Timer(0.2, machine.process.kill).start()
    with pytest.raises(GuestError, match="agent"):
        command.wait(PATIENCE, lambda _: None, lambda _: None)
