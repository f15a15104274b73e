"""The reference runtime with its start-up done once: commands are forks of an interpreter that has loaded it.

Half of what one of its short containers costs is the start of an interpreter, which is the same every time.  For
programs that run thousands of them and are not about a command's start.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

from seatrial.conformance.driver.driver import Runtime, default_runtime
from seatrial.conformance.driver.execute import Result, Start, follow, kill_group
from seatrial.conformance.errors import HarnessBug

PROGRAM = "seatrial.runtime.warm"
ANSWER = 4096  # bytes
PAUSE = 0.02  # seconds between two calls of `meanwhile`


def is_reference(path: str) -> bool:
    """Whether a runtime is the reference runtime beside this interpreter."""
    reference = default_runtime()
    return os.path.exists(reference) and os.path.samefile(path, reference)


class WarmProcess:
    """The process (runtime/warm.py).  It lives as long as this object, in the namespaces and cgroups of its start."""

    def __init__(self) -> None:
        self._peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        weakref.finalize(self, _end, self._peer, self.process)

    def follow(self, start: Start, meanwhile: Callable[[], object] | None = None) -> tuple[int, bool]:
        """As execute.follow(), one command at a time; `meanwhile` is called while it runs."""
        if start.masks or start.pass_fds:
            return follow(start)
        words = {"argv": start.argv, "env": start.env, "cwd": start.cwd}
        socket.send_fds(self._peer, [json.dumps(words).encode()], start.streams)
        deadline = time.monotonic() + start.timeout
        pid = self._answer()["pid"]
        timed_out = False
        while not timed_out:
            left = max(0.0, deadline - time.monotonic())
            if select.select([self._peer], [], [], left if meanwhile is None else min(left, PAUSE))[0]:
                break
            if meanwhile is not None:
                meanwhile()
            timed_out = time.monotonic() >= deadline
        if timed_out:
            kill_group(pid)
        return os.waitstatus_to_exitcode(self._answer()["status"]), timed_out

    def _answer(self) -> dict[str, int]:
        data = self._peer.recv(ANSWER)
        if not data:
            raise HarnessBug(f"{PROGRAM} has ended with status {self.process.wait()}")
        answer: dict[str, int] = json.loads(data)
        return answer


class WarmRuntime(Runtime):
    """The reference runtime, by a WarmProcess."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.warm = WarmProcess()

    def _execute(self, argv: list[str], **options: Any) -> Result:
        return super()._execute(argv, **options, way=self.warm.follow)


def _end(peer: socket.socket, process: subprocess.Popen[bytes]) -> None:
    peer.close()
    process.wait()
