"""The runtime under a supervisor: the driver as cases know it, whose next invocation can be watched."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result, Start, kill_group
from seatrial.conformance.sweep import calls
from seatrial.conformance.sweep.launch import launch, program
from seatrial.conformance.sweep.subject import Eye, Places
from seatrial.conformance.sweep.supervisor import Point, Supervisor

AFTERWARDS = 5.0  # seconds in which a killed program must be gone


class SupervisedRuntime(Runtime):
    """`watched()` makes the invocation of one command run behind a supervisor, which stays for what it leaves."""

    _numbers: dict[int, calls.Call] | None = None
    _filter = b""
    _next: tuple[str, Places, Point | None] | None = None
    supervisor: Supervisor | None = None

    @contextlib.contextmanager
    def watched(self, command: str, bundle: str, id: str, point: Point | None = None) -> Iterator[None]:
        """A with block in which the first invocation of `command` is watched, and struck at `point`; at its end the
        supervisor goes, so that everything it was for must have been deleted by then."""
        if self._numbers is None:
            self._numbers = calls.by_number()
            write = next(number for number, call in self._numbers.items() if call.name == "write")
            self._filter = program(self._numbers, write)
        places = Places(self.root, bundle, id, tuple(cgroups.read_view().hierarchies()))
        self._next = (command, places, point)
        self.supervisor = None
        try:
            yield
        finally:
            self._next = None
            self._close()

    def _close(self) -> None:
        if self.supervisor is not None:
            self.supervisor.close()

    def _execute(self, argv: list[str], **options: Any) -> Result:
        # argv: PATH --root DIR COMMAND ...
        if self._next is None or len(argv) < 4 or argv[3] != self._next[0]:
            return super()._execute(argv, **options)
        (_, places, point), self._next = self._next, None
        return super()._execute(argv, **options, way=functools.partial(self._follow, places, point))

    def _follow(self, places: Places, point: Point | None, start: Start) -> tuple[int, bool]:
        assert self._numbers is not None
        started = launch(start, self._filter)
        self.supervisor = Supervisor(started, Eye(places), self._numbers, point)
        timed_out = not self.supervisor.follow(start.timeout)
        if timed_out:
            kill_group(started.pid)
            self.supervisor.follow(AFTERWARDS)
        _, status = os.waitpid(started.pid, 0)
        self.supervisor.linger()
        return os.waitstatus_to_exitcode(status), timed_out
