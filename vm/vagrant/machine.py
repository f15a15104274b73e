"""A Vagrant machine: the agent of vm/guest, started by ssh, serves it; snapshots are those of vagrant."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any, NoReturn

from seatrial.vm import programs
from seatrial.vm.agent_machine import AgentMachine
from seatrial.vm.channel import EXIT, REFUSED, Connection, LostError
from seatrial.vm.errors import BootError, Diagnosis, GuestError, InfrastructureError, MachineError, UnsupportedError
from seatrial.vm.image import layer
from seatrial.vm.machine import Blueprint, Machine, Snapshot
from seatrial.vm.qemu.machine import PANIC, identity
from seatrial.vm.vagrant.environment import HOST, Environment

AGENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest", "agent.py")
RETRY = 1.0
CONNECT_TIMEOUT = 180.0  # seconds for ssh, sudo and the start of python3; 2 on an idle machine under software emulation
DIAGNOSE_TIMEOUT = 10.0
HANG_UP_TIMEOUT = 1.0
WATCH = 1.0  # seconds between two looks at the console
PANIC_OF_KERNEL = "Kernel panic - not syncing: "
WARNINGS = ("unable to resolve host", "Permanently added")  # of sudo and ssh, which go on
# Reads the agent's source from standard input, of which the rest is the agent's.
STARTER = (
    "import os\n"
    "source = b''\n"
    "while len(source) < {length}:\n"
    "    part = os.read(0, {length} - len(source))\n"
    "    if not part: raise SystemExit\n"
    "    source += part\n"
    "names = {{'__name__': 'agent'}}\n"
    "exec(compile(source, 'agent.py', 'exec', dont_inherit=True), names)\n"
    "names['serve']()\n"
)
MODE = """
if grep -q '^[^ ]* /sys/fs/cgroup cgroup2 ' /proc/mounts; then echo v2
elif grep -q ' cgroup2 ' /proc/mounts; then echo hybrid
else echo v1; fi
"""


class VagrantMachine(AgentMachine):
    """The one machine of an environment.  Closing it destroys it, unless a snapshot wants it."""

    def __init__(self, blueprint: Blueprint, environment: Environment, facts: dict[str, Any]) -> None:
        self.blueprint = blueprint
        self.environment = environment
        self.facts = facts
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        self._closed = False
        self.kept_by: VagrantSnapshot | None = None

    @property
    def stamp(self) -> dict[str, Any]:
        return {"driver": "vagrant", **self.facts}

    def attach(self, patience: float = 0.0) -> None:
        """Start the agent and connect to it, again for `patience` seconds while that fails; BootError when the machine
        cannot be reached, InfrastructureError when it has no python3, or no sudo that asks nothing."""
        self.config = self.environment.ssh_config()
        end = time.monotonic() + patience
        tries = 0
        while True:
            tries += 1
            try:
                self._connect()
                return
            except (LostError, TimeoutError, OSError) as error:
                status = self._hang_up()
                said = self._said()
                if any(word in said for word in ("sudo:", "python3:", "SyntaxError", "ImportError")):
                    raise InfrastructureError(f"the box cannot run the agent: {said}") from error
                if time.monotonic() > end:
                    told = said or f"ssh gives no answer (exit status {status})"
                    reason = self.diagnose(f"{told}, {tries} times" if tries > 1 else told)
                    raise BootError("the machine cannot be reached", reason) from error
            time.sleep(RETRY)  # a machine that went back to a snapshot may refuse its first connections

    def _connect(self) -> None:
        with open(AGENT, "rb") as file:
            source = file.read()
        starter = shlex.quote(STARTER.format(length=len(source)))
        ours, theirs = socket.socketpair()
        self._complaints.seek(0)
        self._complaints.truncate()
        # INFO: or ssh does not tell that a machine stopped answering.
        argv = [programs.find("ssh"), "-T", "-F", self.config, "-o", "LogLevel=INFO", HOST]
        argv.append(f"sudo -n -H python3 -I -S -c {starter}")
        end = theirs.fileno()
        self.process = subprocess.Popen(argv, stdin=end, stdout=end, stderr=self._complaints)
        theirs.close()
        ours.sendall(source)
        self.connection = Connection(ours)
        self.facts["guest"] = self.connection.ready(CONNECT_TIMEOUT)
        self.facts["release"] = self.facts["guest"]["release"]
        self.connection.greet(CONNECT_TIMEOUT, identity())
        threading.Thread(target=self._watch, args=(self.connection,), name="console", daemon=True).start()

    def _watch(self, connection: Connection) -> None:
        """End the connection to a machine whose kernel panics: ssh would wait two minutes for it."""
        while not connection.lost and not self._closed:
            if PANIC_OF_KERNEL in self.environment.console():
                with contextlib.suppress(OSError):
                    connection.peer.shutdown(socket.SHUT_RDWR)
                return
            time.sleep(WATCH)

    def cgroup_mode(self) -> str:
        """What is mounted at /sys/fs/cgroup: v2, hybrid or v1."""
        return self.run(["sh", "-c", MODE], timeout=CONNECT_TIMEOUT).stdout.decode().strip()

    def lay(self) -> None:
        """Copy the blueprint's layers into the machine."""
        if not self.blueprint.layers:
            return
        with tempfile.TemporaryDirectory(prefix="seatrial-layers-") as tree:
            for trees in self.blueprint.layers.values():
                layer.copy_trees(tree, trees)
            # Packed here: under software emulation sshd and the agent take longer for each byte than gzip does there.
            unpack = ["tar", "-C", "/", "--no-overwrite-dir", "--no-same-owner", "-xzf", "-"]
            command = self.start(unpack)
            # Not `.`: while tar unpacks, / would have the mode of our directory, and keep others out.
            with subprocess.Popen(["tar", "-C", tree, "-czf", "-", *os.listdir(tree)], stdout=subprocess.PIPE) as pack:
                assert pack.stdout is not None
                while data := pack.stdout.read(1 << 16):
                    command.write(data)
            command.write(b"")
            said = bytearray()
            if command.wait(None, said.extend, said.extend) != 0:
                text = said.decode("utf-8", "replace").strip()
                raise InfrastructureError(f"cannot copy the layers into the machine: {text}")

    def gateway(self, python: str) -> str:
        """The machine for pytest-xdist's --tx: python3 at that path in it, as root."""
        return f"ssh={HOST}//ssh_config={self.config}//python=sudo {python}"

    def vagrant_gateway(self, python: str) -> str:
        """The same by way of `vagrant ssh`, which knows the machine by its id."""
        return f"vagrant_ssh={self.environment.index_id()}//python=sudo {python}"

    def snapshot(self) -> Snapshot:
        if self.connection.busy():
            raise ValueError("a snapshot of a machine in which a command runs: wait for it first")
        if self.kept_by is not None:
            raise UnsupportedError("a machine of the driver vagrant has one snapshot at a time")
        return VagrantSnapshot(self)

    def diagnose(self, verdict: str) -> Diagnosis:
        panics = PANIC.findall(self.environment.console())
        log = "" if panics or self._closed else self._kernel_log()
        return self.environment.diagnosis(panics[0].strip() if panics else verdict, log)

    def _kernel_log(self) -> str:
        """What the agent tells, or, where it is gone, another connection; empty where nobody answers."""
        connection = getattr(self, "connection", None)
        if connection is None or connection.lost:
            return self.environment.log()
        with contextlib.suppress(MachineError, OSError, TimeoutError, LostError):
            number = connection.start(["dmesg"], {}, "/", None)
            kept = bytearray()
            end = time.monotonic() + DIAGNOSE_TIMEOUT
            while (frame := connection.next(number, end - time.monotonic()))[0] not in (EXIT, REFUSED):
                kept += frame[1]
            connection.forget(number)
            return kept.decode("utf-8", "replace")
        return ""

    def lost(self) -> NoReturn:
        said = self._said()
        verdict = "the connection to its agent ended"
        raise GuestError("the machine is gone", self.diagnose(f"{verdict}: {said}" if said else verdict))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.detach()
        self._complaints.close()
        if self.kept_by is None:
            self.environment.destroy()

    def detach(self) -> None:
        """End the connection, not the machine."""
        self.stop_forwarding()
        self._hang_up()
        self.environment.hang_up()

    def _hang_up(self) -> int | None:
        """ssh's exit status, where it had ended by itself."""
        with contextlib.suppress(AttributeError):
            self.connection.close()
        with contextlib.suppress(AttributeError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(HANG_UP_TIMEOUT)
            self.process.kill()
            self.process.wait()
        return None

    def _said(self) -> str:
        if self._complaints.closed:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").splitlines()
        return "\n".join(line for line in lines if not any(word in line for word in WARNINGS)).strip()


class VagrantSnapshot(Snapshot):
    """`vagrant snapshot`: the machine itself goes back to it.  So its clones follow one another, and the machine that
    it was taken of."""

    NAME = "seatrial"

    def __init__(self, machine: VagrantMachine) -> None:
        self.blueprint = machine.blueprint
        self.environment = machine.environment
        self.facts = machine.facts
        self._machine = machine
        self._closed = False
        machine.detach()  # a connection would be dead when the machine goes on from here
        self.environment.vagrant("snapshot", "save", "--force", self.NAME)
        machine.attach()
        machine.kept_by = self

    @property
    def idle(self) -> bool:
        """Whether the machine is free: a clone can be had."""
        return self._machine._closed

    def clone(self) -> Machine:
        """UnsupportedError while the machine, or an earlier clone, is not closed."""
        if not self.idle:
            raise UnsupportedError("clones of a vagrant snapshot follow one another: close the one before first")
        self.environment.forget_console()
        self.environment.vagrant("snapshot", "restore", "--no-provision", "--no-start", self.NAME)
        machine = VagrantMachine(self.blueprint, self.environment, {**self.facts, "clone": True})
        machine.kept_by = self
        try:
            machine.attach(CONNECT_TIMEOUT)
        except BaseException:
            machine.close()
            raise
        self._machine = machine
        return machine

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._machine.kept_by = None
        if self.idle:
            self.environment.destroy()
        else:
            self.environment.vagrant("snapshot", "delete", self.NAME)
