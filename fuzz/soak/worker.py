"""The program in the airlock of a soak: lanes that live lives, and the counting before and after.

The order as the only argument, as JSON; what happens as JSON lines on a descriptor.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass

from seatrial.conformance.airlock import lanes
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.airlock.lanes import Voice
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.conformance.verdict import outcome
from seatrial.fuzz.soak import condition, lives

WARM = 12  # lives of a lane before its first count: modules are loaded, caches filled
LATE = 15.0  # seconds for what the kernel frees when it has time, such as cgroups
TELL = 5.0  # seconds between two words about progress


@dataclass(frozen=True, slots=True)
class Order:
    """`containers` in all, spread over `workers`; `budget` seconds end it earlier (None: they do not)."""

    runtime: str
    workdir: str
    output: int
    containers: int
    workers: int
    seed: int
    timeout: float
    budget: float | None = None


def lane(order: Order, number: int, voice: Voice) -> int:
    """A share of the containers."""
    session = Session(order.runtime, order.workdir, order.timeout, os.environ.get(VIEW_ENV))
    runtime = session.runtime
    try:
        try:
            runtime.prove_sane()
        except Finding as error:
            raise EnvironmentProblem(str(error)) from error
        chance = random.Random(f"{order.seed} {number}")
        share = len(range(number, order.containers, order.workers))
        end = None if order.budget is None else time.monotonic() + order.budget
        before = condition.of_lane(session.watch)
        done = commands = 0
        begun = told = time.monotonic()

        def tell() -> None:
            nonlocal done, commands, told
            voice.say(containers=done, commands=commands)
            done = commands = 0
            told = time.monotonic()

        for turn in range(WARM + share):
            if turn == WARM:
                before = condition.of_lane(session.watch)
                done = commands = 0
                begun = time.monotonic()
            if end is not None and time.monotonic() > end:
                break
            life = lives.choose(runtime, chance)
            trouble = live(session, life)
            commands += len(runtime.journal)
            runtime.journal.clear()
            done += 1
            if trouble is not None:
                voice.say(failure=f"{life.__name__.replace('_', ' ')}: {trouble}")
            if turn >= WARM and time.monotonic() - told > TELL:
                tell()
        seconds = time.monotonic() - begun
        tell()
        after = condition.of_lane(session.watch)
        growth = after.growth(before, share)
        voice.say(lane=number + 1, seconds=seconds, before=asdict(before), after=asdict(after), growth=growth)
        return outcome.CLEAN
    finally:
        session.close()


def live(session: Session, life: lives.Life) -> str | None:
    """One life; what went wrong in it."""
    bundle = session.workshop.bundle()
    runtime = session.runtime
    try:
        life(runtime, bundle)
        return None
    except Finding as error:
        return str(error).replace(bundle.name, "ID")
    finally:
        for container in runtime.containers:
            if not container.deleted:
                container.discard()
        runtime.containers.clear()
        session.workshop.remove(bundle)


def main() -> int:
    """Count, soak, count; the worst exit status of the lanes."""
    order = Order(**json.loads(sys.argv[1]))
    voice = Voice(order.output, order.workdir)
    before = condition.of_airlock(order.workdir)
    status = lanes.join(
        [
            lanes.begin(voice, lambda number=number: lane(order, number, voice), f"lane {number + 1}")  # type: ignore[misc]
            for number in range(order.workers)
        ]
    )
    after = condition.of_airlock(order.workdir)
    end = time.monotonic() + patience(LATE)
    while (growth := after.growth(before, order.containers)) and time.monotonic() < end:
        time.sleep(0.5)
        after = condition.of_airlock(order.workdir)
    voice.say(lane=0, before=asdict(before), after=asdict(after), growth=growth)
    return status


if __name__ == "__main__":
    sys.exit(main())
