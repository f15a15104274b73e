"""Templates: a stopped machine's memory and device state in a directory, from which any number of clones go on.

The memory is a file that the template's QEMU shares and that clones map copy-on-write; with the migration capability
x-ignore-shared the state is what is left: some 0.5 MB, loaded in a few hundredths of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from seatrial.vm import cache, programs
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.machine import Blueprint, Machine, Snapshot
from seatrial.vm.qemu.machine import CLONE_TIMEOUT, QemuMachine
from seatrial.vm.qemu.qmp import QmpError, from_file, to_file

FORMAT = "2"  # of the directory and of what arguments.py says
ROOM = "/dev/shm"  # where memory lies while a machine writes to it
SPARE = 256  # MiB that are left free there
PREFIX = "seatrial-templates-"


def key(content: str, drive: Mapping[str, object], blueprint: Blueprint) -> str:
    """A name for the template of a blueprint, whose files have the digest `content`: it changes with everything that a
    state depends on, QEMU's program and the host's CPU among it."""
    qemu = os.path.realpath(programs.find("qemu-system-x86_64"))
    found = os.stat(qemu)
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        cpu = [line for line in file.read().split("\n\n")[0].splitlines() if line.startswith(("model", "flags"))]
    program = f"{qemu} {found.st_size} {found.st_mtime_ns}"
    return cache.digest(FORMAT, content, repr(sorted(drive.items())), blueprint.setup, blueprint.warm, program, *cpu)


def room(mebibytes: int) -> str | None:
    """A directory in memory with room for so much; None where there is none."""
    try:
        found = os.statvfs(ROOM)
    except OSError:
        return None
    fits = os.access(ROOM, os.W_OK) and found.f_bavail * found.f_frsize > (mebibytes + SPARE) << 20
    return ROOM if fits else None


@contextlib.contextmanager
def memory(directory: str, mebibytes: int) -> Iterator[str]:
    """The path of a memory file for a machine that is to become the template in `directory`: where there is room, in
    memory, since a disk would write back what the guest's boot changes again and again."""
    final, place = os.path.join(directory, "ram"), room(mebibytes)
    if place is None or os.path.realpath(directory).startswith(place + "/"):
        yield final
        return
    work = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    try:
        cache.mark(work)
        yield os.path.join(work, "ram")
        programs.run(
            ["cp", "--sparse=always", os.path.join(work, "ram"), final], "cannot keep the memory of a template"
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def save(machine: QemuMachine, directory: str) -> None:
    """Write the rest of the template of a machine whose memory is a shared file, and leave the machine stopped."""
    try:
        with contextlib.closing(machine.control()) as control:
            control.send(to_file(os.path.join(directory, "state")), ignore_shared=True)
    except QmpError as error:
        raise InfrastructureError(f"cannot save the state of a machine: {error}") from error
    with open(os.path.join(directory, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(machine.facts, file)


def clone(directory: str, blueprint: Blueprint, drive: Mapping[str, Any]) -> QemuMachine:
    """A machine that goes on from a template; InfrastructureError when QEMU does not take it."""
    try:
        with open(os.path.join(directory, "facts.json"), encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError) as error:
        raise InfrastructureError(f"the template {directory} cannot be read: {error}") from error
    machine = QemuMachine(blueprint, {**facts, "clone": True})
    try:
        machine.launch(**drive, ram=os.path.join(directory, "ram"), incoming=True)
        with contextlib.closing(machine.control()) as control:
            control.receive(from_file(os.path.join(directory, "state")), ignore_shared=True)
            control.received()
            control.go_on()
        machine.attach(CLONE_TIMEOUT, warm=True)
    except QmpError as error:
        machine.close()
        raise InfrastructureError(f"cannot clone a machine: {error}") from error
    except BaseException:
        machine.close()
        raise
    return machine


class QemuSnapshot(Snapshot):
    """A template of a machine that runs."""

    def __init__(self, machine: QemuMachine) -> None:
        self.blueprint = machine.blueprint
        self.drive = machine.drive
        self.directory = tempfile.mkdtemp(prefix=PREFIX, dir=room(machine.blueprint.memory))
        cache.mark(self.directory)
        try:
            self._take(machine)
        except BaseException:
            self.close()
            raise

    def clone(self) -> Machine:
        return clone(self.directory, self.blueprint, self.drive)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _take(self, machine: QemuMachine) -> None:
        """The machine's memory may be a clone's, which lies in no file: the whole of it is sent to a second QEMU, which
        has it in a file and never runs."""
        stream = f"unix:{self.directory}/stream"
        try:
            with QemuMachine(machine.blueprint, machine.facts) as other:
                assert isinstance(other, QemuMachine)
                other.launch(**self.drive, ram=os.path.join(self.directory, "ram"), share=True, incoming=True)
                with contextlib.closing(other.control()) as control:
                    control.receive(stream, ignore_shared=False)
                    machine.copy_to(stream)
                    control.received()
                save(other, self.directory)
        except QmpError as error:
            raise InfrastructureError(f"cannot take a snapshot: {error}") from error
