"""A QEMU process with an agent inside."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any

from seatrial.vm import cache
from seatrial.vm.agent_machine import AgentMachine
from seatrial.vm.channel import Connection, LostError
from seatrial.vm.errors import BootError, Diagnosis, InfrastructureError
from seatrial.vm.machine import Blueprint, Snapshot
from seatrial.vm.qemu import arguments
from seatrial.vm.qemu.qmp import Qmp, QmpError

BOOT_TIMEOUT = 180.0  # seconds from the start of QEMU to the agent's first word; some 4 on an idle machine
CLONE_TIMEOUT = 60.0
CONSOLE_LINES = 40
PANIC = re.compile(r"Kernel panic - not syncing: .*|Out of memory: Killed process .*|seatrial: boot failed: .*")


class QemuMachine(AgentMachine):
    """One QEMU process, from its start to its end; its directory holds sockets, console log and complaints."""

    def __init__(self, blueprint: Blueprint, facts: dict[str, Any]) -> None:
        self.blueprint = blueprint
        self.facts = facts
        self.drive: dict[str, Any] = {}
        self.directory = tempfile.mkdtemp(prefix="seatrial-vm-", dir="/tmp")
        cache.mark(self.directory)
        self.process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def stamp(self) -> dict[str, Any]:
        return {"driver": "qemu", **self.facts}

    def launch(self, **drive: Any) -> None:
        """Start QEMU; InfrastructureError when that fails."""
        self.drive = {name: value for name, value in drive.items() if name not in ("ram", "share", "incoming")}
        argv = arguments.command(arguments.Drive(directory=self.directory, **drive))
        with open(os.path.join(self.directory, "complaints"), "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def attach(self, timeout: float, *, warm: bool) -> None:
        """Connect to the agent, which in a warm machine runs already; BootError when it does not answer."""
        try:
            self.connection = Connection(self._socket("agent", timeout))
            if not warm:
                self.facts["guest"] = self.connection.ready(timeout)
            self.greet(timeout)
        except (LostError, TimeoutError, OSError) as error:
            if self.gone() and not self._text("console"):
                raise InfrastructureError(f"QEMU does not start: {self._text('complaints').strip()}") from error
            verdict = "QEMU ended" if self.gone() else f"the agent does not answer within {timeout:g} s"
            raise BootError("the machine does not come up", self.diagnose(verdict)) from error

    def greet(self, timeout: float) -> None:
        """Give a machine that begins, or that has waited, the time of now, fresh random numbers and a name of its own.
        LostError, TimeoutError or OSError when the agent does not answer within `timeout` seconds."""
        self.connection.greet(timeout, identity())

    def control(self) -> Qmp:
        """QEMU's control socket; InfrastructureError when QEMU ended."""
        try:
            peer = self._socket("control", 30.0)
            peer.close()
            return Qmp(os.path.join(self.directory, "control"))
        except (OSError, QmpError) as error:
            raise InfrastructureError(f"QEMU does not answer: {error}\n{self._text('complaints')}") from error

    def snapshot(self) -> Snapshot:
        from seatrial.vm.qemu.template import QemuSnapshot

        if self.connection.busy():
            raise ValueError("a snapshot of a machine in which a command runs: wait for it first")
        if self.gone():
            self.lost()
        return QemuSnapshot(self)

    def copy_to(self, uri: str) -> None:
        """Send the whole machine, memory and state; it stands still meanwhile.  QmpError when that fails."""
        with contextlib.closing(self.control()) as control:
            try:
                control.send(uri, ignore_shared=False)
            finally:
                control.go_on()

    def gone(self) -> bool:
        """Whether QEMU has ended."""
        return self.process is not None and self.process.poll() is not None

    def diagnose(self, verdict: str) -> Diagnosis:
        console = self._text("console")
        panics = PANIC.findall(console)
        complaint = self._text("complaints").strip()
        if panics:
            verdict = panics[0].strip()
        elif complaint:
            verdict = f"{verdict}: {complaint.splitlines()[-1]}"
        return Diagnosis(verdict, "\n".join(console.splitlines()[-CONSOLE_LINES:]))

    def console(self) -> str:
        """The whole console log."""
        return self._text("console")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.stop_forwarding()
        with contextlib.suppress(AttributeError):
            self.connection.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _socket(self, name: str, timeout: float) -> socket.socket:
        end = time.monotonic() + timeout
        while True:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(os.path.join(self.directory, name))
                return peer
            except OSError:
                peer.close()
                if self.gone() or time.monotonic() > end:
                    raise
                time.sleep(0.002)

    def _text(self, name: str) -> str:
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""


def identity() -> dict[str, str]:
    """What a machine is called: a host name and a machine id (machine-id(5)) that no other has."""
    number = os.urandom(16).hex()
    return {"name": f"seatrial-{number[:8]}", "machine_id": number}
