"""Plays steps on real containers and holds each answer against the model."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field

from seatrial.conformance.airlock import leaks, orphans
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.execute import Result, Stream, alive
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import RuntimeTimeout
from seatrial.fuzz.lifecycle import model
from seatrial.fuzz.lifecycle.model import ABSENT, CREATED, ERROR, KILLED, OK, PAUSED, RUNNING, STOPPED, WRECK
from seatrial.fuzz.lifecycle.script import Step
from seatrial.fuzz.lifecycle.strike import strike
from seatrial.fuzz.lifecycle.violation import Violation

END = 10.0  # seconds in which a killed process has gone, and a started one runs its program
LAG = 2.0  # seconds in which a state follows what has happened
ALIVE = (CREATED, RUNNING, PAUSED)  # statuses of containers with a process


@dataclass(slots=True)
class Actor:
    """The container of a slot: where it may be, and the output of its program once it was created."""

    bundle: Bundle
    states: frozenset[str] = frozenset({ABSENT})
    output: Stream | None = None
    said: list[str] = field(default_factory=list)

    @property
    def condition(self) -> str:
        """The states in words."""
        return " or ".join(sorted(self.states))


class Stage:
    """One example at a time: `play` steps, then `finish`.  Both raise a Violation."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.runtime = session.runtime
        outside = [name for name in model.OPERATIONS if name not in (*model.CORE, "force")]
        self.offered = tuple(name for name in model.OPERATIONS if name not in outside or self.runtime.offers(name))
        self.commands = 0
        self._actors: dict[str, Actor] = {}
        self._before: leaks.Snapshot | None = None

    def actor(self, slot: str) -> Actor:
        """The container of a slot; the first one of an example is when the surroundings are looked at."""
        if self._before is None:
            self._before = self.session.watch.take()
        if slot not in self._actors:
            bundle = self.session.workshop.bundle()
            bundle.probe("hold", report=False).write()
            self._actors[slot] = Actor(bundle)
        return self._actors[slot]

    def possible(self, step: Step) -> bool:
        """Whether a step can be played: nobody waits for a program that is frozen."""
        frozen = PAUSED in self.actor(step.slot).states or WRECK in self.actor(step.slot).states
        blocked = frozen or "pause" in step.operations
        return not ("exec" in step.operations and blocked) and all(name in self.offered for name in step.operations)

    def play(self, step: Step) -> None:
        """Do it, and compare."""
        actor = self.actor(step.slot)
        before = actor.states
        if step.signal is not None:
            answers = [self._struck(step, actor)]
        elif len(step.operations) == 1:
            answers = [self._call(step.operations[0], actor)]
        else:
            answers = self._calls(step.operations, actor)
        calls = list(zip(step.operations, answers, strict=True))
        if len(calls) == 1:
            actor.states = model.after(*calls[0], before)
        else:
            actor.states = model.together(calls, before)
        if not actor.states:
            actor.states = frozenset({WRECK})
            raise self._wrong(calls, before, actor)
        self._settle(calls, actor, before)
        if any(operation not in ("state", "exec") for operation in step.operations) and actor.states != {ABSENT}:
            self._look(actor, calls)

    def finish(self, quiet: bool = False) -> None:
        """Delete what there is; Violation when that fails or something stays (unless `quiet`, after another one)."""
        troubles: list[Violation] = []
        for actor in self._actors.values():
            try:
                self._clear(actor)
            except Violation as violation:
                troubles.append(violation)
        if self._before is not None:
            watch, before = self.session.watch, self._before
            found = leaks.settle(lambda: watch.compare(before), LAG)
            if watch.last != before:
                watch.clean(before)
            if found:
                names = {actor.bundle.name: slot for slot, actor in self._actors.items()}
                troubles.append(_left(found, names))
        for actor in self._actors.values():
            self.session.workshop.remove(actor.bundle)
        self._actors.clear()
        self._before = None
        self.runtime.journal.clear()
        if troubles and not quiet:
            raise troubles[0]

    # -- invocations --------------------------------------------------------------------------------------------------

    def _words(self, operation: str, actor: Actor) -> list[str]:
        name = actor.bundle.name
        if operation == "create":
            return ["create", "--bundle", actor.bundle.path, name]
        special = {
            "exec": ["exec", name, PROBE, "getpid"],
            "kill": ["kill", name, "KILL"],
            "term": ["kill", name, "TERM"],
            "update": ["update", "--pids-limit", "77", name],
            "force": ["delete", "--force", name],
        }
        return special.get(operation, [operation, name])

    def _entry(self, actor: Actor) -> bool:
        return os.path.lexists(os.path.join(self.runtime.root, actor.bundle.name))

    def _call(self, operation: str, actor: Actor) -> str:
        there = operation == "force" and self._entry(actor)
        self.commands += 1
        try:
            result = self.runtime.command(*self._words(operation, actor))
        except RuntimeTimeout as error:
            raise Violation(f"{operation} hangs", f"{error}; the container was {actor.condition}") from error
        return self._answer(operation, actor, result, there)

    def _answer(self, operation: str, actor: Actor, result: Result, there: bool) -> str:
        lines = result.stderr.strip().splitlines()
        actor.said = [*actor.said[-9:], f"{result.describe()}{': ' + lines[-1][:300] if lines else ''}"]
        if result.status < 0:
            raise Violation(f"{operation} ends by signal {-result.status}", actor.said[-1])
        if operation == "create" and result.ok:
            actor.output = result.stream
        if operation == "state" and result.ok:
            return f"{OK}:{self._status(result)}"
        if operation == "force" and not (there and self._entry(actor)):
            return OK  # there was nothing to delete, or it is gone
        return OK if result.ok else ERROR

    def _status(self, result: Result) -> str:
        try:
            status = json.loads(result.stdout)["status"]
        except (ValueError, KeyError, TypeError) as error:
            raise Violation("state prints no state", f"{result.stdout[:300]!r}", "runtime/query-state/3") from error
        return str(status)

    def _calls(self, operations: tuple[str, ...], actor: Actor) -> list[str]:
        answers: dict[int, str | Violation] = {}
        barrier = threading.Barrier(len(operations))

        def work(number: int, operation: str) -> None:
            barrier.wait()
            try:
                answers[number] = self._call(operation, actor)
            except Violation as violation:
                answers[number] = violation

        threads = [threading.Thread(target=work, args=entry) for entry in enumerate(operations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = []
        for number in range(len(operations)):
            answer = answers[number]
            if isinstance(answer, Violation):
                raise answer
            found.append(answer)
        return found

    def _struck(self, step: Step, actor: Actor) -> str:
        (operation,), signal = step.operations, step.signal
        assert signal is not None
        there = operation == "force" and self._entry(actor)
        self.commands += 1
        result, struck = strike(self.runtime, self._words(operation, actor), signal, step.delay)
        if result.timed_out:
            raise Violation(f"{operation} hangs after SIG{signal}", actor.condition)
        if operation == "create":
            actor.output = result.stream
        if struck and not result.ok:
            actor.said = [*actor.said[-9:], f"{result.describe()} (struck)"]
            return KILLED
        return self._answer(operation, actor, result, there)

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _wrong(self, calls: list[tuple[str, str]], before: frozenset[str], actor: Actor) -> Violation:
        condition = " or ".join(sorted(before))
        said = "; ".join(actor.said[-len(calls) :])
        if len(calls) > 1:
            words = " and ".join(sorted(f"{operation} ({answer})" for operation, answer in calls))
            return Violation(f"{words} at the same time, container {condition}", said)
        operation, answer = calls[0]
        rows = {model.requirement(operation, state) for state in before}
        return Violation(
            f"{operation} of a container that is {condition}: {answer}", said, rows.pop() if len(rows) == 1 else None
        )

    def _settle(self, calls: list[tuple[str, str]], actor: Actor, before: frozenset[str]) -> None:
        """Wait for what an operation has only begun: a killed process ends, a started one runs its program."""
        done = {operation for operation, answer in calls if answer == OK}
        if done & {"kill", "term"} and STOPPED in actor.states:
            sure = actor.states <= {STOPPED, ABSENT}
            if not self._ended(actor, END if sure else LAG / 2) and sure:
                raise Violation("kill does not end the process", "; ".join(actor.said[-2:]), "runtime/kill/5")
        if len(calls) == 1 and "start" in done and before == {CREATED}:
            deadline = time.monotonic() + END
            while actor.output is not None and '"hold"' not in actor.output.read():
                if time.monotonic() > deadline:
                    raise Violation("start does not run the program", "; ".join(actor.said[-2:]), "runtime/start/7")
                time.sleep(0.002)

    def _ended(self, actor: Actor, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        pause = 0.001
        while True:
            orphans.reap()
            if not orphans.of_container(actor.bundle.name):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _look(self, actor: Actor, calls: list[tuple[str, str]]) -> None:
        """`state` must say what the model says, and the kernel too."""
        deadline = time.monotonic() + LAG
        while True:
            answer = self._call("state", actor)
            states = model.after("state", answer, actor.states)
            if states and (states & {WRECK} or answer not in {f"{OK}:{name}" for name in ALIVE} or self._lives(actor)):
                actor.states = states
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        condition = actor.condition
        words = " and ".join(f"{operation} ({done})" for operation, done in calls)
        rows = {model.requirement("state", state) for state in actor.states}
        actor.states = frozenset({WRECK})
        what = f"state is {answer}" + ("" if not states else ", without a live process")
        raise Violation(
            f"after {words} the container is {condition}, but {what}",
            "; ".join(actor.said[-2:]),
            rows.pop() if len(rows) == 1 else None,
        )

    def _lives(self, actor: Actor) -> bool:
        """Whether the pid that `state` names is a process that has not ended (proc_pid_stat(5))."""
        pid = json.loads(self.runtime.journal[-1].stdout).get("pid")
        return isinstance(pid, int) and alive(pid)

    def _clear(self, actor: Actor) -> None:
        if not self._entry(actor):
            return
        if actor.states & {PAUSED, WRECK} and "resume" in self.offered:
            self.runtime.command("resume", actor.bundle.name)  # whether `delete --force` takes a frozen one is open
        answer = self._call("force", actor)
        if answer != OK or self._entry(actor):
            raise Violation("delete --force does not remove the container", actor.said[-1])


def _left(found: list[str], names: dict[str, str]) -> Violation:
    text = "; ".join(found)
    for name, slot in names.items():
        text = text.replace(name, slot)
    kinds = sorted({"state entry" if line.startswith("state entry") else line.split()[0] for line in found})
    return Violation(f"left behind: {', '.join(kinds)}", text, "runtime/delete/7")
