"""The reference runtime with its start-up done once: commands are forks of an interpreter that has loaded it.

Half of what one of its short containers costs is the start of an interpreter, which is the same in every comparison.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import weakref
from typing import Any

from seatrial.conformance.driver.bundle import Workshop
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result, Start, follow, kill_group
from seatrial.conformance.engine.session import default_runtime
from seatrial.conformance.errors import HarnessBug

PROGRAM = "seatrial.runtime.warm"
ANSWER = 4096  # bytes


def open_runtime(path: str, directory: str, workshop: Workshop, timeout: float, warm: bool = True) -> Runtime:
    """The runtime at a path; a WarmRuntime if it is the one beside this interpreter, and `warm`."""
    reference = default_runtime()
    if warm and os.path.exists(reference) and os.path.samefile(path, reference):
        return WarmRuntime(path, directory, workshop, timeout=timeout)
    return Runtime(path, directory, workshop, timeout=timeout)


class WarmRuntime(Runtime):
    """Its process (runtime/warm.py) lives as long as this object; it sees the mounts and cgroups of now."""

    def __init__(self, path: str, directory: str, workshop: Workshop, *, timeout: float) -> None:
        super().__init__(path, directory, workshop, timeout=timeout)
        self._peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        weakref.finalize(self, _end, self._peer, self._process)

    def _execute(self, argv: list[str], **options: Any) -> Result:
        return super()._execute(argv, **options, way=self._ask)

    def _ask(self, start: Start) -> tuple[int, bool]:
        if start.masks or start.pass_fds:
            return follow(start)
        words = {"argv": start.argv, "env": start.env, "cwd": start.cwd}
        socket.send_fds(self._peer, [json.dumps(words).encode()], start.streams)
        pid = self._answer()["pid"]
        timed_out = not select.select([self._peer], [], [], start.timeout)[0]
        if timed_out:
            kill_group(pid)
        return os.waitstatus_to_exitcode(self._answer()["status"]), timed_out

    def _answer(self) -> dict[str, int]:
        data = self._peer.recv(ANSWER)
        if not data:
            raise HarnessBug(f"{PROGRAM} has ended with status {self._process.wait()}")
        answer: dict[str, int] = json.loads(data)
        return answer


def _end(peer: socket.socket, process: subprocess.Popen[bytes]) -> None:
    peer.close()
    process.wait()
