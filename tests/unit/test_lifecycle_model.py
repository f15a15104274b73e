"""The model of lifecycles, its scripts, and the search in a runtime that is played in memory."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.ledger import ledger
from seatrial.fuzz.lifecycle import machine, model, script, worker
from seatrial.fuzz.lifecycle.model import ABSENT, CREATED, ERROR, KILLED, OK, PAUSED, RUNNING, STOPPED, WRECK
from seatrial.fuzz.lifecycle.script import Step
from seatrial.fuzz.lifecycle.violation import Violation


@pytest.mark.parametrize("operation", model.OPERATIONS)
@pytest.mark.parametrize("state", model.STATES)
def test_every_operation_has_an_answer_in_every_state(operation: str, state: str) -> None:
    found = model.outcomes(operation, state)
    assert found
    assert all(after in model.STATES for _, after in found)
    row = model.requirement(operation, state)
    assert row is None or row in ledger.load()


def test_what_the_specification_calls_an_error() -> None:
    for operation, states in {
        "create": (CREATED, RUNNING, PAUSED, STOPPED),
        "start": (ABSENT, RUNNING, PAUSED, STOPPED),
        "kill": (ABSENT, STOPPED),
        "delete": (ABSENT, CREATED, RUNNING, PAUSED),
        "state": (ABSENT,),
    }.items():
        for state in states:
            assert model.outcomes(operation, state) == {(ERROR, state)}, (operation, state)


def test_answers_narrow_the_states() -> None:
    assert model.after("start", OK, {CREATED}) == {RUNNING}
    assert model.after("start", OK, {RUNNING}) == set()
    assert model.after("state", "ok:paused", {RUNNING, PAUSED}) == {PAUSED}
    assert model.after("create", KILLED, {ABSENT}) == {WRECK}
    assert model.after("exec", KILLED, {RUNNING}) == {RUNNING}
    assert model.after("force", OK, {WRECK}) == {ABSENT}


@pytest.mark.parametrize(
    ("calls", "before", "after"),
    [
        ([("create", OK), ("create", ERROR)], ABSENT, {CREATED}),
        ([("create", OK), ("create", OK)], ABSENT, set()),
        ([("start", OK), ("start", OK)], CREATED, set()),
        ([("start", ERROR), ("start", OK)], CREATED, {RUNNING}),
        ([("delete", OK), ("kill", OK)], RUNNING, {ABSENT}),
        ([("delete", ERROR), ("kill", OK)], RUNNING, {STOPPED}),
        ([("delete", OK), ("kill", ERROR)], RUNNING, set()),
        ([("create", OK), ("state", "ok:creating")], ABSENT, {CREATED}),
        ([("start", OK), ("state", "ok:creating")], CREATED, set()),
        ([("exec", ERROR), ("force", OK)], RUNNING, {ABSENT}),
        ([("state", "ok:running"), ("force", OK)], PAUSED, {ABSENT}),
        ([("state", "ok:running"), ("kill", OK)], STOPPED, set()),
    ],
)
def test_calls_at_the_same_time(calls: list[tuple[str, str]], before: str, after: set[str]) -> None:
    assert model.together(calls, {before}) == after


def test_scripts_are_read_again() -> None:
    steps = [
        Step("a", ("create",)),
        Step("b", ("force",)),
        Step("a", ("kill", "delete", "exec")),
        Step("b", ("update",), "TERM", 0.025),
        Step("a", ("term",)),
    ]
    text = script.write(steps, ["two\nlines"], "/some/runtime")
    assert script.parse(text.splitlines()) == steps
    assert "$R kill a KILL & $R delete a & $R exec a /probe getpid & wait" in text
    assert "$R update --pids-limit 77 b & sleep 0.025; kill -TERM $!" in text


@pytest.mark.parametrize(
    "line",
    ["rm -rf /", "$R create --bundle a b", "$R start a & $R start b & wait", "$R start a & sleep 1; kill -HUP $!"],
)
def test_what_is_no_step_is_refused(line: str) -> None:
    with pytest.raises(EnvironmentProblem, match="line 2"):
        script.parse(["# a remark", line])


class PlayedInMemory:
    """A stage without containers: a runtime that follows the model, but for one answer."""

    def __init__(self, wrong: tuple[str, str] | None) -> None:
        self.wrong = wrong
        self.states: dict[str, str] = {}
        self.commands = 0

    def actor(self, slot: str) -> Any:
        return SimpleNamespace(states={self.states.setdefault(slot, ABSENT)}, condition="")

    def possible(self, step: Step) -> bool:
        return len(step.operations) == 1 and step.signal is None

    def play(self, step: Step) -> None:
        (operation,) = step.operations
        state = self.states.setdefault(step.slot, ABSENT)
        if (operation, state) == self.wrong:
            raise Violation(f"{operation} of {state}", "planted")
        self.states[step.slot] = min(model.outcomes(operation, state))[1]

    def finish(self, quiet: bool = False) -> None:
        self.states.clear()


def test_a_script_is_shortened_by_playing_it() -> None:
    stage: Any = PlayedInMemory(("start", RUNNING))
    words = ("create", "update", "start", "exec", "state", "start", "kill")
    steps = [Step("b", ("create",)), *(Step("a", (word,)) for word in words)]
    assert [step.operations[0] for step in worker.shorten(stage, steps, "start of running")] == [
        "create",
        "start",
        "start",
    ]


def hunt(wrong: tuple[str, str] | None) -> machine.Hunt:
    stage: Any = PlayedInMemory(wrong)
    return machine.Hunt(stage, time.monotonic() + 300, 300)


def test_a_planted_bug_is_found_and_shrunk() -> None:
    search = hunt(("resume", PAUSED))
    found = machine.search(search, 400, 7, None)
    assert found is not None
    steps, violation = found
    assert violation.identity == "resume of paused"
    assert len(steps) < 7
    slot = steps[0].slot
    steps = worker.shorten(search.stage, steps, violation.identity)
    assert [str(step) for step in steps] == [
        f"$R create --bundle {slot} {slot}",
        f"$R start {slot}",
        f"$R pause {slot}",
        f"$R resume {slot}",
    ]
    assert machine.search(search, 50, 8, None) is None, "what is known is not reported again"


def test_no_bug_no_finding() -> None:
    search = hunt(None)
    assert machine.search(search, 50, 7, None) is None
    assert search.examples > 40
    assert search.steps > 100


def test_workers_share_a_database(tmp_path: Any) -> None:
    """What one has found is the first thing that another one tries."""
    from hypothesis.database import DirectoryBasedExampleDatabase

    database = DirectoryBasedExampleDatabase(tmp_path)
    first = hunt(("resume", PAUSED))
    assert machine.search(first, 400, 7, database) is not None
    second = hunt(("resume", PAUSED))
    assert machine.search(second, 1, 99, database) is not None
