"""A machine that is reached through its agent: what the drivers with a connection to one have in common."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from seatrial.vm import channel
from seatrial.vm.channel import Connection, LostError
from seatrial.vm.errors import BlueprintError, GuestError
from seatrial.vm.machine import Command, Machine, Sink


class AgentMachine(Machine):
    """Runs, copies and forwards over `connection`."""

    connection: Connection

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        terminal: tuple[int, int] | None = None,
    ) -> Command:
        try:
            number = self.connection.start(argv, env or {}, cwd, terminal)
            return AgentCommand(self, number, tuple(argv))
        except LostError:
            self.lost()

    def set_up(self, *, warm: bool = False) -> None:
        """Run the blueprint's setup, and for a template what makes it warm; BlueprintError when one fails."""
        for what, script in (("setup", self.blueprint.setup), ("warm script", self.blueprint.warm if warm else "")):
            done = self.run(["/bin/sh", "-c", script]) if script else None
            if done is not None and done.status != 0:
                said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
                raise BlueprintError(f"the {what} of the machine ended with status {done.status}: {said}")

    def copy_in(self, source: str, target: str) -> None:
        os.lstat(source)
        # An archive with one entry of the target's name: tar changes it on the way.
        name = os.path.basename(target.rstrip("/"))
        pack = ["tar", "-C", os.path.dirname(os.path.abspath(source)), "-cf", "-"]
        pack += [_renaming(os.path.basename(source), name), os.path.basename(source)]
        command = self.start(["tar", "-C", os.path.dirname(target.rstrip("/")) or "/", "-xf", "-"])
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while data := process.stdout.read(channel.CHUNK):
                command.write(data)
        command.write(b"")
        said = bytearray()
        if command.wait(None, said.extend, said.extend) != 0 or process.returncode != 0:
            raise OSError(f"cannot copy {source} to {target} in the machine: {said.decode('utf-8', 'replace').strip()}")

    def copy_out(self, source: str, target: str) -> None:
        name = os.path.basename(source.rstrip("/"))
        unpack = ["tar", "-C", os.path.dirname(os.path.abspath(target)), "--no-same-owner", "-xf", "-"]
        unpack.append(_renaming(name, os.path.basename(target.rstrip("/"))))
        complaint = bytearray()
        command = self.start(["tar", "-C", os.path.dirname(source.rstrip("/")) or "/", "-cf", "-", name])
        command.write(b"")
        with subprocess.Popen(unpack, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            status = command.wait(None, process.stdin.write, complaint.extend)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if status != 0 or process.returncode != 0:
            text = complaint.decode("utf-8", "replace").strip()
            raise OSError(f"cannot copy {source} of the machine to {target}: {text}")

    def forward(self, port: int) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners().append(listener)
        threading.Thread(target=self._accept, args=(listener, port), name="forward", daemon=True).start()
        address: tuple[str, int] = listener.getsockname()
        return address

    def stop_forwarding(self) -> None:
        """Close what forward() opened."""
        for listener in self._listeners():
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def lost(self) -> NoReturn:
        """GuestError with the diagnosis of a machine that does not answer any more."""
        raise GuestError("the machine is gone", self.diagnose("the connection to its agent ended"))

    def _listeners(self) -> list[socket.socket]:
        found: list[socket.socket] = self.__dict__.setdefault("_open_listeners", [])
        return found

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            number = self.connection.connect("127.0.0.1", port)
            threading.Thread(target=self._pump_out, args=(peer, number), daemon=True).start()
            threading.Thread(target=self._pump_in, args=(peer, number), daemon=True).start()

    def _pump_in(self, peer: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, LostError):
            while data := peer.recv(channel.CHUNK):
                self.connection.send(channel.DATA, number, data)
        with contextlib.suppress(LostError):
            self.connection.send(channel.CLOSE, number)

    def _pump_out(self, peer: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, LostError):
            while True:
                kind, payload = self.connection.next(number, None)
                if kind == channel.OUT:
                    peer.sendall(payload)
                elif kind in (channel.EXIT, channel.REFUSED):
                    break
        self.connection.forget(number)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        peer.close()


class AgentCommand(Command):
    """A command on one channel; its input goes through a thread of its own, which waits where the guest is slow."""

    def __init__(self, machine: AgentMachine, number: int, argv: tuple[str, ...]) -> None:
        self.machine = machine
        self.connection = machine.connection
        self.number = number
        self.argv = argv
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sent = self._taken = 0
        self._done = threading.Event()
        self._progress = threading.Condition()
        self._sender = threading.Thread(target=self._send, name="stdin", daemon=True)
        self._sender.start()

    def write(self, data: bytes) -> None:
        self._input.put(data)

    def signal(self, number: int) -> None:
        try:
            self.connection.send(channel.SIGNAL, self.number, str(int(number)).encode())
        except LostError:
            self.machine.lost()

    def resize(self, rows: int, columns: int) -> None:
        try:
            self.connection.send(channel.RESIZE, self.number, json.dumps([rows, columns]).encode())
        except LostError:
            self.machine.lost()

    def wait(self, timeout: float | None, stdout: Sink, stderr: Sink) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                kind, payload = self.connection.next(self.number, None if end is None else end - time.monotonic())
                if kind == channel.OUT:
                    stdout(payload)
                elif kind == channel.ERR:
                    stderr(payload)
                elif kind == channel.EXIT:
                    return int(payload)
                elif kind == channel.TAKEN:
                    with self._progress:
                        self._taken += int(payload)
                        self._progress.notify()
                elif kind == channel.REFUSED:
                    told = json.loads(payload)
                    raise OSError(told["errno"], told["error"], told["path"])
        except LostError:
            self.machine.lost()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            raise TimeoutError(f"{' '.join(self.argv)[:200]}: killed after {timeout:g} s") from None
        finally:
            self._done.set()
            with self._progress:
                self._progress.notify()
            self._input.put(None)
            self.connection.forget(self.number)

    def _send(self) -> None:
        with contextlib.suppress(LostError):
            while (data := self._input.get()) is not None:
                for start in range(0, len(data), channel.CHUNK):
                    part = data[start : start + channel.CHUNK]
                    with self._progress:
                        while self._sent - self._taken > channel.WINDOW and not self._done.is_set():
                            self._progress.wait(1)
                    if self._done.is_set():
                        return
                    self.connection.send(channel.DATA, self.number, part)
                    self._sent += len(part)
                if not data:
                    self.connection.send(channel.DATA, self.number)


def _renaming(old: str, new: str) -> str:
    """The option of tar that changes the first component `old` of each name to `new`."""
    pattern = "".join(f"\\{char}" if char in r"\.*[]^$," else char for char in old)
    replacement = "".join(f"\\{char}" if char in r"\&," else char for char in new)
    return f"--transform=s,^{pattern},{replacement},rSh"
