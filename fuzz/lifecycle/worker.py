"""The program in the airlock that plays lifecycles: lanes that search until the time is up, or one script again.

The order as the only argument, as JSON; what happens as JSON lines on a descriptor.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.airlock import lanes
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.airlock.lanes import Voice
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.conformance.verdict import outcome
from seatrial.fuzz.lifecycle.script import Step, parse
from seatrial.fuzz.lifecycle.stage import Stage
from seatrial.fuzz.lifecycle.violation import Violation

CHUNK = 20  # examples that one call of Hypothesis makes
AGAIN = 3  # how often a found script is played once more, to say how sure it is
SHORTENING = 20.0  # seconds
SHRINKING = 0.25  # share of the budget that the shrinking of one violation may take
LEAST_SHRINKING = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Order:
    """What to do.  `replay` is the text of a script to play `repeat` times; without it lanes search for `budget`
    seconds.  `database` is what database.open_database takes."""

    runtime: str
    workdir: str
    output: int
    budget: float
    workers: int
    seed: int
    timeout: float
    database: str | None = None
    replay: str | None = None
    repeat: int = 1
    first: bool = False  # end at the first finding


def search(order: Order, number: int, voice: Voice) -> int:
    """One lane, until the time is up."""
    from seatrial.fuzz.database import open_database
    from seatrial.fuzz.lifecycle import machine

    end = time.monotonic() + order.budget
    database = open_database(order.database)
    session = _session(order)
    try:
        stage = Stage(session)
        patience = max(LEAST_SHRINKING, order.budget * SHRINKING)
        hunt = machine.Hunt(stage, end, patience, stop=os.path.join(order.workdir, "stop"))
        chunk = 0
        while not hunt.over():
            seen = hunt.examples, hunt.steps, stage.commands
            found = machine.search(hunt, CHUNK, order.seed * 1_000_003 + number + chunk * order.workers, database)
            chunk += 1
            done = hunt.examples - seen[0], hunt.steps - seen[1], stage.commands - seen[2]
            voice.say(examples=done[0], steps=done[1], commands=done[2])
            if found is not None:
                steps, violation = found
                if order.first and hunt.stop is not None:
                    open(hunt.stop, "wb").close()
                steps = shorten(stage, steps, violation.identity)
                hits = sum(_violates(stage, steps, violation.identity) for _ in range(AGAIN))
                voice.say(finding=_finding(violation, steps), reproduced=hits, tries=AGAIN)
        return outcome.CLEAN
    finally:
        session.close()


def replay(order: Order, voice: Voice) -> int:
    """Play the script; an entry for each step, and one for each violation."""
    assert order.replay is not None
    steps = parse(order.replay.splitlines())
    session = _session(order)
    try:
        stage = Stage(session)
        for _ in range(order.repeat):
            violation = _play(stage, steps, voice)
            if violation is not None:
                voice.say(finding=_finding(violation, steps), reproduced=1, tries=1)
        voice.say(examples=order.repeat, steps=len(steps) * order.repeat, commands=stage.commands)
        return outcome.CLEAN
    finally:
        session.close()


def _play(stage: Stage, steps: list[Step], voice: Voice | None) -> Violation | None:
    found: Violation | None = None
    for step in steps:
        if found is None and stage.possible(step):
            try:
                stage.play(step)
                condition = stage.actor(step.slot).condition
            except Violation as violation:
                found, condition = violation, f"WRONG: {violation}"
            if voice is not None:
                voice.say(step=str(step), condition=condition)
        elif voice is not None:
            voice.say(step=str(step), condition="not played")
    try:
        stage.finish(quiet=found is not None)
    except Violation as violation:
        found = violation
    return found


def shorten(stage: Stage, steps: list[Step], identity: str, seconds: float = SHORTENING) -> list[Step]:
    """Leave out steps without which the violation is seen as well.  Hypothesis gives up on what a race shows only now
    and then; here each shorter script has some tries."""
    end = time.monotonic() + seconds
    number = 0
    while number < len(steps) and time.monotonic() < end:
        shorter = steps[:number] + steps[number + 1 :]
        if any(_violates(stage, shorter, identity) for _ in range(AGAIN)):
            steps = shorter
        else:
            number += 1
    return steps


def _violates(stage: Stage, steps: list[Step], identity: str) -> bool:
    violation = _play(stage, steps, None)
    return violation is not None and violation.identity == identity


def _finding(violation: Violation, steps: list[Step]) -> dict[str, Any]:
    return {
        "identity": violation.identity,
        "detail": violation.detail,
        "requirement": violation.requirement,
        "steps": [str(step) for step in steps],
    }


def _session(order: Order) -> Session:
    session = Session(order.runtime, order.workdir, order.timeout, os.environ.get(VIEW_ENV))
    try:
        session.runtime.prove_sane()
    except Finding as error:
        raise EnvironmentProblem(str(error)) from error
    return session


def main() -> int:
    """Do what the order says; the worst exit status of the lanes."""
    order = Order(**json.loads(sys.argv[1]))
    voice = Voice(order.output, order.workdir)
    if order.replay is not None:
        return lanes.join([lanes.begin(voice, lambda: replay(order, voice), "replay")])
    return lanes.run(voice, order.workers, lambda number: search(order, number, voice))


if __name__ == "__main__":
    sys.exit(main())
