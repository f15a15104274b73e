"""One attempt: an operation with one fault in it, and what the runtime made of that."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.conformance.airlock import leaks
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import Finding, RuntimeTimeout
from seatrial.conformance.sweep import operations
from seatrial.conformance.sweep.calls import is_denial
from seatrial.conformance.sweep.operations import Operation
from seatrial.conformance.sweep.proof import differences, flat
from seatrial.conformance.sweep.supervised import SupervisedRuntime
from seatrial.conformance.sweep.supervisor import KILL, Place, Point

RIGHT, REFUSED, ENDED, MISSED = "right result", "error exit", "killed", "not reached"
HANG, CRASH, WRONG, STUCK, LEAK, LOST = "hang", "crash", "wrong result", "not deleted", "leak", "state lost"
SETTLE = 2.0  # seconds in which what a crash orphaned ends: an executor without a parent leaves at its next step


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ending` is RIGHT, REFUSED, ENDED, MISSED or HANG; `findings` are (kind, detail) pairs; `places` are the calls
    that were seen, in order."""

    ending: str
    findings: tuple[tuple[str, str], ...]
    places: tuple[Place, ...]
    said: str  # the last line of the command's standard error
    program: str | None  # that made the call which failed
    proof: dict[str, str]


class Attempts:
    """Attempts of one operation, in one worker.  The first two, without a fault, say what is right."""

    def __init__(self, session: Session, runtime: SupervisedRuntime, operation: Operation) -> None:
        self.session = session
        self.runtime = runtime
        self.operation = operation
        self.right: dict[str, str] = {}
        first, second = self.control(), self.control()
        self.right = {name: leaf for name, leaf in first.proof.items() if second.proof.get(name) == leaf}
        seen = set(second.places)
        self.places = [place for place in dict.fromkeys(first.places) if place in seen]
        self.unsteady = len(set(first.places) ^ seen)

    def control(self) -> Outcome:
        """The operation without a fault; Finding unless all is well."""
        outcome = self.attempt(None)
        if outcome.ending != RIGHT or outcome.findings:
            detail = "; ".join(f"{kind}: {text}" for kind, text in outcome.findings) or outcome.said
            raise Finding(f"{self.operation.name} goes wrong without any fault: {outcome.ending}: {detail}")
        return outcome

    def attempt(self, point: Point | None) -> Outcome:
        """The operation, with the fault at a point."""
        runtime, operation = self.runtime, self.operation
        runtime.journal.clear()
        runtime.containers.clear()
        before = self.session.watch.take()
        bundle = runtime.workshop.bundle()
        findings: list[tuple[str, str]] = []
        ending, said = MISSED, ""
        proof: dict[str, str] = {}
        try:
            container = operation.prepare(runtime, bundle)
            with runtime.watched(operation.name, bundle.path, bundle.name, point):
                try:
                    result = operation.act(runtime, bundle, container)
                    said = _last_line(result)
                    ending, proof = self._judge(point, bundle, result, findings)
                except RuntimeTimeout as error:
                    ending = HANG
                    findings.append((HANG, f"{error}; the last call{_kind(point)} was {self._last_call()}"))
                if point is not None and point.fault == KILL:
                    findings += self._after_a_crash(bundle)
                findings += self._delete(bundle)
            supervisor = runtime.supervisor
            places = tuple(supervisor.seen) if supervisor else ()
            program = supervisor.struck_program if supervisor else None
            if point is not None and program is None:
                ending = MISSED
            findings += self._left(before, bundle)
        finally:
            runtime.workshop.remove(bundle)
        return Outcome(ending, tuple(findings), places, said, program, proof)

    def _last_call(self) -> str:
        supervisor = self.runtime.supervisor
        return str(supervisor.seen[-1]) if supervisor and supervisor.seen else "none that is watched"

    def _judge(
        self, point: Point | None, bundle: Bundle, result: Result, findings: list[tuple[str, str]]
    ) -> tuple[str, dict[str, str]]:
        if not result.ok:
            if result.status < 0 and (point is None or point.fault != KILL):
                findings.append((CRASH, result.describe()))
            return (ENDED if result.status == -9 else REFUSED), {}
        try:
            found = flat(self.operation.proof(self.runtime, bundle, result))
        except Finding as error:
            findings.append((HANG if isinstance(error, RuntimeTimeout) else WRONG, f"exit status 0, but {error}"))
            return RIGHT, {}
        proof = {name: leaf.replace(bundle.name, "ID") for name, leaf in found.items()}
        wrong = differences(self.right, proof)
        if wrong and not (point is not None and is_denial(point.place.call, point.place.object, point.fault)):
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            findings.append((WRONG, f"exit status 0, but {'; '.join(wrong[:3])}{more}"))
        return RIGHT, proof

    def _after_a_crash(self, bundle: Bundle) -> Iterator[tuple[str, str]]:
        """Other commands must be able to read what the dead one has left."""
        with self._timely() as late:
            found = operations.status(self.runtime, bundle)
            if found not in self.operation.statuses:
                yield LOST, f"the status is {found!r}"
            if self.runtime.offers("list"):
                listing = self.runtime.command("list")
                if not listing.ok:
                    yield LOST, f"{listing.describe()}: {_last_line(listing)}"
        yield from late

    def _delete(self, bundle: Bundle) -> Iterator[tuple[str, str]]:
        with self._timely() as late:
            operations.thaw(self.runtime, bundle)
            there = os.path.exists(os.path.join(self.runtime.root, bundle.name))
            result = self.runtime.command("delete", "--force", bundle.name)
            if there and not result.ok:
                yield STUCK, f"{result.describe()}: {_last_line(result)}"
        yield from late

    @contextlib.contextmanager
    def _timely(self) -> Iterator[list[tuple[str, str]]]:
        late: list[tuple[str, str]] = []
        try:
            yield late
        except RuntimeTimeout as error:
            late.append((HANG, str(error)))
        except Finding as error:
            late.append((LOST, str(error)))

    def _left(self, before: leaks.Snapshot, bundle: Bundle) -> list[tuple[str, str]]:
        path = bundle.cgroups_path()
        watch = self.session.watch

        def look() -> list[str]:
            return watch.compare(before, [path] if path else [])

        found = leaks.settle(look)
        if watch.last is not None and watch.last.processes - before.processes:  # without one, nothing else will go
            found = leaks.settle(look, SETTLE)
        if watch.last != before:
            watch.clean(before)
        return [(LEAK, line.replace(bundle.name, "ID")) for line in found]


def _kind(point: Point | None) -> str:
    """A point's attempt sees the calls of its name alone."""
    return "" if point is None else " of that name"


def _last_line(result: Result) -> str:
    lines = result.stderr.strip().splitlines()
    return lines[-1][:300] if lines else ""
