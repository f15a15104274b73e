"""The program in the airlock: for each operation one process finds the points, then several try them.

The order as the only argument, as JSON; what happens as JSON lines on a descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from seatrial.conformance.airlock import lanes
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sweep.attempt import Attempts
from seatrial.conformance.sweep.calls import CALLS, is_untrue
from seatrial.conformance.sweep.operations import OPERATIONS
from seatrial.conformance.sweep.supervised import SupervisedRuntime
from seatrial.conformance.sweep.supervisor import KILL, Place, Point
from seatrial.conformance.verdict import outcome


@dataclass(frozen=True, slots=True)
class Order:
    """What to sweep.  `errnos` empty: those of each call; `calls` empty: all; `crash`: kill in place of errnos; `only`:
    the points with this text alone; `shard` is (I, N); `before` is the results file of a sweep that goes on here, or
    ""."""

    runtime: str
    workdir: str
    operations: list[str]
    crash: bool
    errnos: list[str]
    calls: list[str]
    only: str | None
    shard: list[int]
    workers: int
    timeout: float
    output: int
    before: str = ""


def tried(path: str, operation: str) -> set[str]:
    """The points of an operation that a results file has, as text; a last line that was cut off has none."""
    found = set()
    with open(path, encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry["operation"] == operation and "ending" in entry:
                    found.add(entry["point"])
    return found


def points(places: Iterable[Place], order: Order) -> list[Point]:
    """The points of an order at these places."""
    found = []
    for place in places:
        if order.calls and place.call not in order.calls:
            continue
        known = CALLS[place.call].errnos
        faults = [KILL] if order.crash else [name for name in known if not order.errnos or name in order.errnos]
        found += [Point(place, fault) for fault in faults if not is_untrue(place.call, place.object, fault)]
    if order.only is not None:
        return [point for point in found if order.only in str(point)]
    part, whole = order.shard
    return [point for point in found if zlib.crc32(str(point).encode()) % whole == part - 1]


class Worker:
    """One forked process with a session of its own."""

    def __init__(self, order: Order, operation: str) -> None:
        self.order = order
        self.operation = OPERATIONS[operation]
        self.voice = lanes.Voice(order.output, order.workdir, operation=operation)

    def begin(self, work: Callable[[Attempts], None]) -> int:
        """Fork, and do `work` there; the pid."""
        return lanes.begin(self.voice, lambda: self._inside(work), self.operation.name)

    def _inside(self, work: Callable[[Attempts], None]) -> int:
        order = self.order
        session = Session(order.runtime, order.workdir, order.timeout, os.environ.get(VIEW_ENV))
        try:
            runtime = SupervisedRuntime(
                session.runtime.path, session.directory, session.workshop, timeout=order.timeout
            )
            if self.operation.needs is not None and not runtime.offers(self.operation.needs):
                self.voice.say(skipped=f"the runtime has no command {self.operation.needs}")
                return outcome.CLEAN
            reason = self.operation.unusable()
            if reason is not None:
                self.voice.say(skipped=reason)
                return outcome.CLEAN
            work(Attempts(session, runtime, self.operation))
            return outcome.CLEAN
        finally:
            session.close()

    def plan(self, attempts: Attempts) -> None:
        """Say which points there are."""
        chosen = points(attempts.places, self.order)
        if self.order.before:
            done = tried(self.order.before, self.operation.name)
            chosen = [point for point in chosen if str(point) not in done]
        self.voice.say(
            points=[[*asdict(point.place).values(), point.fault] for point in chosen], unsteady=attempts.unsteady
        )

    def lane(self, chosen: list[Point]) -> Callable[[Attempts], None]:
        """Try these points."""

        def work(attempts: Attempts) -> None:
            for point in chosen:
                result = attempts.attempt(point)
                self.voice.say(
                    point=str(point),
                    ending=result.ending,
                    findings=[list(finding) for finding in result.findings],
                    said=result.said,
                    program=result.program,
                )

        return work


def sweep(order: Order, operation: str) -> int:
    """One operation; the worst exit status of its processes."""
    reader, writer = os.pipe()
    lane = Worker(order, operation)
    planner = Worker(Order(**{**asdict(order), "output": writer}), operation)
    pid = planner.begin(planner.plan)
    os.close(writer)
    with open(reader, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    worst = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    chosen: list[Point] = []
    for line in lines:
        lane.voice.relay(line)
        chosen += [Point(Place(*place), fault) for *place, fault in json.loads(line).get("points", [])]
    parts = [chosen[number :: order.workers] for number in range(order.workers)]
    return max([worst, lanes.join([lane.begin(lane.lane(part)) for part in parts if part])], key=abs)


def main() -> int:
    """Sweep what the order says; the worst exit status."""
    order = Order(**json.loads(sys.argv[1]))
    unknown = [name for name in order.errnos if not hasattr(errno, name)]
    if unknown:
        raise EnvironmentProblem(f"no such errno: {', '.join(unknown)}")
    return max((sweep(order, operation) for operation in order.operations), key=abs, default=outcome.CLEAN)


if __name__ == "__main__":
    sys.exit(main())
