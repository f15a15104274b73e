"""The state machine: Hypothesis chooses and shrinks the steps, a Stage plays them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from seatrial.fuzz.lifecycle import model
from seatrial.fuzz.lifecycle.script import SIGNALS, SLOTS, Step
from seatrial.fuzz.lifecycle.stage import Stage
from seatrial.fuzz.lifecycle.violation import Violation

STEPS = 9  # of an example, at most
# What leads on from a state, in the circle of a container's life.
WAYS = {
    model.ABSENT: "create",
    model.CREATED: "start",
    model.RUNNING: "kill",
    model.PAUSED: "resume",
    model.STOPPED: "delete",
}
BESIDE = ("state", "create", "start", "kill", "delete", "force", "update", "exec", "pause", "resume")

_slots = st.sampled_from((SLOTS[0], *SLOTS))  # mostly the first


class Found(Exception):  # noqa: N818
    """What Hypothesis sees of every violation: one place, so that it shrinks towards the same one."""


@dataclass(slots=True)
class Hunt:
    """What one lane knows: `known` violations end an example without a word; `best` has the shortest script of each."""

    stage: Stage
    deadline: float  # on the monotonic clock
    patience: float  # seconds for shrinking one violation
    known: set[str] = field(default_factory=set)
    best: dict[str, tuple[list[Step], Violation]] = field(default_factory=dict)
    stop: str | None = None  # a file: when it is there, nothing new is begun
    target: str | None = None
    shrink_until: float = 0.0
    examples: int = 0
    steps: int = 0

    def over(self) -> bool:
        """Whether the time is up: of the whole, or for the violation at hand."""
        if self.target is not None:
            return time.monotonic() > self.shrink_until
        return time.monotonic() > self.deadline or (self.stop is not None and os.path.exists(self.stop))

    def aim(self) -> str | None:
        """Begin with no violation in view; the one that was, which is known from now on."""
        name, self.target = self.target, None
        if name is not None:
            self.known.add(name)
        return name

    def wanted(self, violation: Violation, steps: Sequence[Step]) -> bool:
        """Whether a violation is to be reported to Hypothesis; remembers its script when it is the shortest."""
        name = violation.identity
        if name in self.known:
            return False
        if self.target is None:
            self.target = name
            self.shrink_until = time.monotonic() + self.patience
        if name != self.target:
            return False  # another one: it is met again when this one is known
        if name not in self.best or len(steps) <= len(self.best[name][0]):
            self.best[name] = (list(steps), violation)
        return True


class Lifecycle(RuleBasedStateMachine):
    """Two containers, and whatever can be asked of them.  Subclasses set `hunt`."""

    hunt: Hunt

    def __init__(self) -> None:
        super().__init__()
        self.played: list[Step] = []
        self.dead = False  # after a violation

    @rule(slot=_slots)
    def advance(self, slot: str) -> None:
        """What comes next in the life of a container."""
        if self.dead or self.hunt.over():
            return
        state = min(self.hunt.stage.actor(slot).states)
        self._play(Step(slot, (WAYS.get(state, "force"),)))

    @rule(slot=_slots, state=st.sampled_from(tuple(WAYS)), operation=st.sampled_from(model.OPERATIONS))
    def visit(self, slot: str, state: str, operation: str) -> None:
        """An operation in a state that the container is brought to first."""
        for _ in range(len(WAYS)):
            if self.dead or self.hunt.over():
                return
            here = min(self.hunt.stage.actor(slot).states)
            if here == state:
                break
            way = WAYS.get(here, "force")
            self._play(Step(slot, ("pause" if (here, state) == (model.RUNNING, model.PAUSED) else way,)))
        self._play(Step(slot, (operation,)))

    @rule(slot=_slots, operation=st.sampled_from(model.OPERATIONS))
    def call(self, slot: str, operation: str) -> None:
        """Any operation."""
        self._play(Step(slot, (operation,)))

    @rule(slot=_slots, operations=st.lists(st.sampled_from(BESIDE), min_size=2, max_size=3))
    def calls(self, slot: str, operations: list[str]) -> None:
        """Some at the same time."""
        self._play(Step(slot, tuple(operations)))

    @rule(
        slot=_slots,
        operation=st.sampled_from(model.OPERATIONS),
        signal=st.sampled_from(SIGNALS),
        delay=st.integers(0, 60),
    )
    def strike(self, slot: str, operation: str, signal: str, delay: int) -> None:
        """One whose process gets a signal."""
        self._play(Step(slot, (operation,), signal, delay / 1000))

    def teardown(self) -> None:
        """Nothing must be left."""
        hunt = self.hunt
        hunt.examples += bool(self.played)
        try:
            hunt.stage.finish(quiet=self.dead)
        except Violation as violation:
            self._judge(violation)

    def _play(self, step: Step) -> None:
        hunt = self.hunt
        if self.dead or hunt.over() or not hunt.stage.possible(step):
            return
        self.played.append(step)
        hunt.steps += 1
        try:
            hunt.stage.play(step)
        except Violation as violation:
            self._judge(violation)

    def _judge(self, violation: Violation) -> None:
        self.dead = True
        if self.hunt.wanted(violation, self.played):
            raise Found(violation.identity)


def search(
    hunt: Hunt, examples: int, number: int, database: ExampleDatabase | None
) -> tuple[list[Step], Violation] | None:
    """Try so many examples, chosen by the seed `number`: the shortest script of the first new violation, or None."""
    machine = type("LifecycleOfALane", (Lifecycle,), {"hunt": hunt})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=database,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    hunt.aim()
    try:
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
    except (Found, Flaky):
        pass  # a race may show itself once: the script that showed it is kept
    name = hunt.aim()
    return None if name is None else hunt.best[name]
