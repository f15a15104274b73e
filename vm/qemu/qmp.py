"""QMP, QEMU's control protocol: JSON lines over a Unix socket (docs/interop/qmp-spec of QEMU)."""

from __future__ import annotations

import json
import shlex
import socket
import time
from typing import Any

UNLIMITED = 1 << 40  # bytes a second; unless told, QEMU writes 128 MiB a second


class QmpError(Exception):
    """QEMU refused a command."""


class Qmp:
    """A connection that has left the capabilities mode.  Events are dropped."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._file = self.socket.makefile("rw", encoding="utf-8")
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """The answer to a command; QmpError when it is refused, OSError when QEMU is gone."""
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise ConnectionResetError("QEMU closed its control socket")
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"{command}: {answer['error'].get('desc', answer['error'])}")

    def send(self, uri: str, *, ignore_shared: bool, timeout: float = 120.0) -> None:
        """Stop the machine and send its state: all of it, or (`ignore_shared`) without memory in a shared file."""
        self.execute("stop")
        self._ignore_shared(ignore_shared)
        self.execute("migrate-set-parameters", **{"max-bandwidth": UNLIMITED})
        self.execute("migrate", uri=uri)
        end = time.monotonic() + timeout
        while (status := self.execute("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled") or time.monotonic() > end:
                raise QmpError(f"migrate: {status}" + ("" if status == "failed" else f" after {timeout:g} s"))
            time.sleep(0.002)

    def receive(self, uri: str, *, ignore_shared: bool) -> None:
        """Begin to take a state, in a machine that was started with `-incoming defer`."""
        self._ignore_shared(ignore_shared)
        self.execute("migrate-incoming", uri=uri)

    def received(self, timeout: float = 120.0) -> None:
        """Wait until the state is there; the machine stands still then."""
        end = time.monotonic() + timeout
        while self.execute("query-status")["status"] in ("inmigrate", "prelaunch"):
            if time.monotonic() > end:
                raise QmpError(f"the state is not loaded after {timeout:g} s")
            time.sleep(0.001)

    def go_on(self) -> None:
        """Let a machine run that stands still."""
        if self.execute("query-status")["status"] != "running":
            self.execute("cont")

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()

    def _ignore_shared(self, state: bool) -> None:
        capability = {"capability": "x-ignore-shared", "state": state}
        self.execute("migrate-set-capabilities", capabilities=[capability])


def to_file(path: str) -> str:
    """The URI that sends a state to a file."""
    return f"exec:cat > {shlex.quote(path)}"


def from_file(path: str) -> str:
    """The URI that takes a state from a file."""
    return f"exec:cat {shlex.quote(path)}"
