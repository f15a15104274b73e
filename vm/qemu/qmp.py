"""QMP, QEMU's control protocol: JSON lines over a Unix socket (docs/interop/qmp-spec of QEMU)."""

from __future__ import annotations

import json
import socket
import time
from typing import Any


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

    def save(self, path: str, timeout: float = 60.0) -> None:
        """Stop the machine and write its state, without the memory, which lies in a shared file."""
        self.execute("stop")
        self._ignore_shared()
        self.execute("migrate", uri=f"exec:cat > '{path}'")
        self._wait("query-migrate", {"completed"}, {"failed", "cancelled"}, timeout)

    def load(self, path: str, timeout: float = 60.0) -> None:
        """Load a state into a machine that was started with `-incoming defer`, and let it run."""
        self._ignore_shared()
        self.execute("migrate-incoming", uri=f"exec:cat '{path}'")
        end = time.monotonic() + timeout
        while (status := self.execute("query-status")["status"]) in ("inmigrate", "prelaunch"):
            if time.monotonic() > end:
                raise QmpError(f"the state is not loaded after {timeout:g} s")
            time.sleep(0.001)
        if status != "running":
            self.execute("cont")

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()

    def _ignore_shared(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        self.execute("migrate-set-capabilities", capabilities=[capability])

    def _wait(self, query: str, good: set[str], bad: set[str], timeout: float) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            status = self.execute(query).get("status")
            if status in good:
                return
            if status in bad:
                raise QmpError(f"{query}: {status}")
            time.sleep(0.002)
        raise QmpError(f"{query}: no end after {timeout:g} s")
