"""Driver `fake`: a machine that is a directory and processes of this host, for tests of what uses machines."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.vm.errors import BootError, Diagnosis, GuestError
from seatrial.vm.machine import Blueprint, Command, Machine, Pool, Sink, Snapshot


class FakePool(Pool):
    """Boots at once; `failures` lists what the next boots and commands do instead: `boot` or `panic`."""

    def __init__(self, failures: Sequence[str] = ()) -> None:
        self.failures = list(failures)
        self.booted: list[FakeMachine] = []

    def boot(self, blueprint: Blueprint) -> Machine:
        if self.failures and self.failures[0] == "boot":
            self.failures.pop(0)
            raise BootError("the machine does not come up", Diagnosis("Kernel panic - not syncing: fake"))
        machine = FakeMachine(blueprint, self)
        self.booted.append(machine)
        return machine

    def close(self) -> None:
        for machine in self.booted:
            machine.close()


class FakeMachine(Machine):
    """`root` is the directory that stands for the machine's file system: copies go there, commands start there."""

    def __init__(self, blueprint: Blueprint, pool: FakePool) -> None:
        self.blueprint = blueprint
        self.pool = pool
        self.commands: list[FakeCommand] = []
        self.root = tempfile.mkdtemp(prefix="seatrial-fake-", dir="/tmp")

    @property
    def stamp(self) -> dict[str, Any]:
        return {
            "driver": "fake",
            "accelerator": None,
            "kernel": self.blueprint.kernel,
            "release": os.uname().release,
            "cgroup": self.blueprint.cgroup,
        }

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        terminal: tuple[int, int] | None = None,
    ) -> Command:
        if self.pool.failures and self.pool.failures[0] == "panic":
            self.pool.failures.pop(0)
            raise GuestError("the machine is gone", self.diagnose("Kernel panic - not syncing: fake"))
        inside = self._inside(cwd)
        directory = inside if os.path.isdir(inside) else self.root
        self.commands.append(FakeCommand(argv, {**os.environ, **(env or {})}, directory))
        return self.commands[-1]

    def copy_in(self, source: str, target: str) -> None:
        _copy(source, self._inside(target))

    def copy_out(self, source: str, target: str) -> None:
        _copy(self._inside(source), target)

    def forward(self, port: int) -> tuple[str, int]:
        return "127.0.0.1", port

    def snapshot(self) -> Snapshot:
        return FakeSnapshot(self)

    def diagnose(self, verdict: str) -> Diagnosis:
        return Diagnosis(verdict, "fake console")

    def close(self) -> None:
        for command in self.commands:
            command.close()
        self.commands.clear()
        shutil.rmtree(self.root, ignore_errors=True)

    def _inside(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))


class FakeSnapshot(Snapshot):
    """A copy of a machine's directory."""

    def __init__(self, machine: FakeMachine) -> None:
        self.blueprint = machine.blueprint
        self.pool = machine.pool
        self.root = tempfile.mkdtemp(prefix="seatrial-fake-", dir="/tmp")
        shutil.copytree(machine.root, self.root, symlinks=True, dirs_exist_ok=True)

    def clone(self) -> Machine:
        machine = self.pool.boot(self.blueprint)
        assert isinstance(machine, FakeMachine)
        shutil.copytree(self.root, machine.root, symlinks=True, dirs_exist_ok=True)
        return machine

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class FakeCommand(Command):
    """A process of the host in a session of its own."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
            if not data:
                self.process.stdin.close()
        except BrokenPipeError:
            pass

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def resize(self, rows: int, columns: int) -> None:
        pass  # it has no terminal

    def wait(self, timeout: float | None, stdout: Sink, stderr: Sink) -> int:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        pumps = [
            threading.Thread(target=_pump, args=(os.dup(stream.fileno()), sink), daemon=True)
            for stream, sink in ((self.process.stdout, stdout), (self.process.stderr, stderr))
        ]
        for pump in pumps:
            pump.start()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
            raise TimeoutError(f"killed after {timeout:g} s") from None
        finally:
            for pump in pumps:
                pump.join(timeout=5)
            self.close()
        return status

    def close(self) -> None:
        """End the process, if it still runs, and close its streams."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _pump(fd: int, sink: Sink) -> None:
    """Read to the end of a descriptor that is ours alone: whoever keeps the other end may outlive the command."""
    try:
        while data := os.read(fd, 65536):
            sink(data)
    finally:
        os.close(fd)


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def pool(**options: Any) -> Pool:
    """A pool of fake machines; options as for FakePool."""
    return FakePool(**options)
