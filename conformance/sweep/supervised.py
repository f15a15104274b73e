"""The runtime under a supervisor: the driver as cases know it, whose next invocation can be watched."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

from seatrial.conformance.airlock import cgroups, orphans
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result, Start, follow, kill_group
from seatrial.conformance.driver.warm import WarmProcess, is_reference
from seatrial.conformance.sweep import calls
from seatrial.conformance.sweep.launch import launch, program
from seatrial.conformance.sweep.subject import Eye, Places
from seatrial.conformance.sweep.supervisor import Point, Supervisor

AFTERWARDS = 5.0  # seconds in which a killed program must be gone


@functools.cache
def filter_of(name: str | None) -> bytes:
    """The filter that stops every call of the table, or those of this name alone: each stop costs 50 microseconds."""
    table = calls.by_number()
    write = next(number for number, call in table.items() if call.name == "write")
    return program([number for number, call in table.items() if name in (None, call.name)], write)


class SupervisedRuntime(Runtime):
    """`watched()` makes the invocation of one command run behind a supervisor, which stays for what it leaves."""

    _filter = b""
    _next: tuple[str, Places, Point | None] | None = None
    supervisor: Supervisor | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._warm = WarmProcess() if is_reference(self.path) else None  # now, before anybody counts processes

    @contextlib.contextmanager
    def watched(self, command: str, bundle: str, id: str, point: Point | None = None) -> Iterator[None]:
        """A with block in which the first invocation of `command` is watched, and struck at `point`; at its end the
        supervisor goes, so that everything it was for must have been deleted by then."""
        self._filter = filter_of(None if point is None else point.place.call)
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
            return super()._execute(argv, **options, way=self._unwatched())
        (_, places, point), self._next = self._next, None
        return super()._execute(argv, **options, way=functools.partial(self._follow, places, point))

    def _unwatched(self) -> Callable[[Start], tuple[int, bool]]:
        """The reference runtime's commands around the one that is watched come from a warm process."""
        if self._warm is None:
            return functools.partial(follow, wait=orphans.wait_and_reap)
        return functools.partial(self._warm.follow, meanwhile=orphans.reap)

    def _follow(self, places: Places, point: Point | None, start: Start) -> tuple[int, bool]:
        started = launch(start, self._filter)
        self.supervisor = Supervisor(started, Eye(places), calls.by_number(), point)
        timed_out = not self.supervisor.follow(start.timeout)
        if timed_out:
            kill_group(started.pid)
            self.supervisor.follow(AFTERWARDS)
        _, status = os.waitpid(started.pid, 0)
        self.supervisor.linger()
        return os.waitstatus_to_exitcode(status), timed_out
