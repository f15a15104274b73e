"""Watches the calls of one invocation, and lets one of them come to grief.

Calls are told apart by what they are about, not by their place in the whole: a runtime with threads makes them in
another order each time.  The N-th call of a name on an object is the same in the next run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

from seatrial.conformance.driver.bundle import PROBE
from seatrial.conformance.sweep.calls import Call
from seatrial.conformance.sweep.launch import Launched
from seatrial.conformance.sweep.subject import Eye
from seatrial.native import seccomp

CONTAINER_PROGRAM = os.path.basename(PROBE)  # what it does is not the runtime's doing
KILL = "SIGKILL"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The `turn`-th (from 1) call of this name on this object in an invocation."""

    call: str
    object: str
    turn: int

    def __str__(self) -> str:
        return f"{self.call} {self.object or '-'} #{self.turn}"


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A place, and what happens there: an errno's name, or KILL: the process that makes the call is killed."""

    place: Place
    fault: str

    def __str__(self) -> str:
        return f"{self.place} {self.fault}"


class Supervisor:
    """Answers for one invocation, and for what it leaves running, until close().  `seen` are the places in order."""

    def __init__(self, launched: Launched, eye: Eye, numbers: dict[int, Call], point: Point | None) -> None:
        self.launched = launched
        self.eye = eye
        self.numbers = numbers
        self.point = point
        self.seen: list[Place] = []
        self.struck_program: str | None = None  # the file name of the program whose call it was, once it was
        self._turns: Counter[tuple[str, str]] = Counter()
        self._stop_out, self._stop_in = os.pipe()
        self._thread: threading.Thread | None = None

    def follow(self, seconds: float) -> bool:
        """Answer until the program has ended: True, or the time is up: False."""
        deadline = time.monotonic() + seconds
        return self._serve(self.launched.pidfd, deadline)

    def linger(self) -> None:
        """Go on in a thread, letting everything pass: whatever the program has started is still behind the filter."""
        self.point = None
        self._thread = threading.Thread(target=self._serve, args=(self._stop_out, None), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering: calls of what still runs behind the filter fail with ENOSYS from now on."""
        os.close(self._stop_in)
        if self._thread is not None:
            self._thread.join()
        for number in (self._stop_out, self.launched.listener, self.launched.pidfd):
            os.close(number)

    def _serve(self, end: int, deadline: float | None) -> bool:
        poller = select.poll()
        poller.register(end, select.POLLIN | select.POLLHUP)
        poller.register(self.launched.listener, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = dict(poller.poll(left))
            event = ready.get(self.launched.listener, 0)
            if event & select.POLLIN:
                self._answer_one()
            elif end in ready:
                return True
            elif not ready:
                return False
            elif event:  # hung up: nobody is behind the filter any more
                poller.unregister(self.launched.listener)

    def _answer_one(self) -> None:
        listener = self.launched.listener
        with contextlib.suppress(FileNotFoundError, InterruptedError):  # its thread is gone, or does something else now
            notification = seccomp.receive(listener)
            fault = self._judge(notification)
            if fault is None:
                seccomp.answer(listener, notification.id, proceed=True)
            elif fault == KILL:
                _kill(notification.pid)
            else:
                seccomp.answer(listener, notification.id, error=getattr(errno, fault))

    def _judge(self, notification: seccomp.Notification) -> str | None:
        """The fault for a call; None: it goes on."""
        if self._thread is not None or notification.pid == 0:
            return None
        call = self.numbers[notification.number]
        program = self.eye.program(notification.pid)
        if program == CONTAINER_PROGRAM:
            return None
        about = self.eye.describe(call, notification)
        if about is None:
            return None
        self._turns[call.name, about] += 1
        place = Place(call.name, about, self._turns[call.name, about])
        self.seen.append(place)
        if self.point is None or place != self.point.place or self.struck_program is not None:
            return None
        self.struck_program = program
        return self.point.fault


def _kill(thread: int) -> None:
    """Kill the process that a thread belongs to."""
    with contextlib.suppress(OSError), open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Tgid:"):
                os.kill(int(line.split()[1]), signal.SIGKILL)
