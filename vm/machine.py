"""The contract: a driver's pool boots machines from a blueprint; a machine runs commands until it is closed."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.vm.errors import BlueprintError, Diagnosis, UnsupportedError

Sink = Callable[[bytes], object]

CGROUP_MODES = ("v2", "v1", "hybrid")
DRIVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What to boot.  `memory` is in MiB; `kernel` a name (vm/kernel/name.py); `image` a release of the base layer;
    `layers` further layers to stack on it: target path in the machine -> path on the host, by the layer's name;
    `setup` is a shell script that runs once after the boot, before a template is taken of the machine, and `warm` one
    that runs only then, to start what clones shall find running; `append` further words of the kernel's command line;
    `snapshot` says whether the machine may be a clone of a warm one."""

    kernel: str = "debian:6.1-cloud"
    cgroup: str = "v2"
    image: str = "bookworm"
    memory: int = 1024
    cpus: int = 1
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    setup: str = ""
    warm: str = ""
    append: str = ""
    snapshot: bool = True

    def __post_init__(self) -> None:
        if self.cgroup not in CGROUP_MODES:
            raise BlueprintError(f"cgroup mode {self.cgroup!r}: one of {', '.join(CGROUP_MODES)}")
        if self.memory < 128:
            raise BlueprintError(f"memory {self.memory} MiB: a machine needs at least 128")
        if self.cpus < 1:
            raise BlueprintError(f"{self.cpus} CPUs: a machine needs one")


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command in a machine ended: its exit status, or -N when signal N ended it.  `stdout` and `stderr` are
    empty where the caller took them as they came."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


class Command(ABC):
    """A command that runs in a machine."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send to its standard input; empty closes it.  Returns at once: what is written waits its turn."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to its process group."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """Change the size of its terminal."""

    @abstractmethod
    def wait(self, timeout: float | None, stdout: Sink, stderr: Sink) -> int:
        """Its exit status (-N when signal N ended it), with its output passed on as it comes; a terminal's is all
        `stdout`.  TimeoutError after `timeout` seconds: then it has been killed."""


class Machine(ABC):
    """A machine that is up.  Every method may raise GuestError: the machine is lost, and the diagnosis says why."""

    blueprint: Blueprint

    @property
    @abstractmethod
    def stamp(self) -> dict[str, Any]:
        """Driver, accelerator, kernel, cgroup mode and digests: what results depend on."""

    @abstractmethod
    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        terminal: tuple[int, int] | None = None,
    ) -> Command:
        """Start a command; `terminal` (rows, columns) gives it one.

        OSError when it cannot be started, with errno and path as execve(2) and chdir(2) give them.
        """

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        timeout: float | None = None,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> Completed:
        """Run a command to its end.

        `stdout` and `stderr` are called with what is written as it comes; without them it is collected.  OSError when
        it cannot be started, TimeoutError after `timeout` seconds: then it is killed.
        """
        command = self.start(argv, env=env, cwd=cwd)
        if stdin:
            command.write(stdin)
        command.write(b"")
        collected = bytearray(), bytearray()
        status = command.wait(timeout, stdout or collected[0].extend, stderr or collected[1].extend)
        return Completed(tuple(argv), status, bytes(collected[0]), bytes(collected[1]))

    @abstractmethod
    def copy_in(self, source: str, target: str) -> None:
        """Copy a file or a directory of the host into the machine, as cp -a does; OSError when it cannot be read."""

    @abstractmethod
    def copy_out(self, source: str, target: str) -> None:
        """Copy a file or a directory of the machine to the host."""

    @abstractmethod
    def forward(self, port: int) -> tuple[str, int]:
        """Make a TCP port of the machine reachable from the host until the machine is closed; address and port."""

    def snapshot(self) -> Snapshot:
        """The machine as it is now: memory, processes, files.  It stands still for a moment and goes on.

        No command may be running (what one has started and left behind goes on in each clone): ValueError.
        UnsupportedError where the driver has no snapshots.
        """
        raise UnsupportedError(f"machines of the driver {self.stamp.get('driver')} have no snapshots")

    @abstractmethod
    def diagnose(self, verdict: str) -> Diagnosis:
        """What the machine shows of itself now; works for one that hangs or is gone."""

    @abstractmethod
    def close(self) -> None:
        """Take the machine down and remove what it had; a second call does nothing."""

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Snapshot(ABC):
    """A machine as it was at one moment, from which others go on."""

    blueprint: Blueprint

    @abstractmethod
    def clone(self) -> Machine:
        """A machine that goes on from that moment, with the time of now and with a random pool, a host name and a
        machine id of its own; errors as of Pool.boot()."""

    @abstractmethod
    def close(self) -> None:
        """Remove the snapshot; clones that run are not affected.  A second call does nothing."""

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pool(ABC):
    """A driver: boots machines.  `BootError` when the guest does not come up, `InfrastructureError` when the host
    lacks something."""

    @abstractmethod
    def boot(self, blueprint: Blueprint) -> Machine:
        """A machine that has just booted, or a clone of a warm one."""

    def prepare(self, blueprint: Blueprint) -> Sequence[str]:
        """Fetch and make what a blueprint needs, so that later boots start at once; lines that say what there is."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Close what the pool itself holds; its machines are closed by their owners."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def drivers() -> list[str]:
    """Names of the drivers: each is one module of vm/drivers/ with a function `pool()`."""
    return sorted(name[:-3] for name in os.listdir(DRIVERS) if name.endswith(".py") and not name.startswith("_"))


def pool(driver: str = "qemu", **options: Any) -> Pool:
    """The pool of a driver; BlueprintError for an unknown one."""
    if driver not in drivers():
        raise BlueprintError(f"driver {driver!r}: one of {', '.join(drivers())}")
    made: Pool = importlib.import_module(f"seatrial.vm.drivers.{driver}").pool(**options)
    return made
