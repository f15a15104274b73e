"""What the specification lets an operation do to a container in a state: runtime.md#state, #lifecycle, #operations.

The model knows a set of states in which a container may be.  An answer narrows it; an answer that none of the states
allows is a finding.  Operations outside the specification (exec, pause, resume, update) have the rules that runc, crun
and the engines share; where they differ, either answer is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations

ABSENT, CREATED, RUNNING, PAUSED, STOPPED = "absent", "created", "running", "paused", "stopped"
WRECK = "wreck"  # left by a killed invocation: anything may be so, but `delete --force` must clear it away
STATES = (ABSENT, CREATED, RUNNING, PAUSED, STOPPED, WRECK)

OPERATIONS = ("create", "start", "state", "exec", "kill", "term", "pause", "resume", "update", "delete", "force")
CORE = ("create", "start", "state", "kill", "term", "delete")  # those of the specification; the others may be missing
CHANGING = frozenset(OPERATIONS) - {"state", "exec", "update"}
OK, ERROR, KILLED = "ok", "error", "killed"

Answer = str  # OK, ERROR, KILLED (the invocation, by us), or "ok:STATUS" of `state`
Outcomes = frozenset[tuple[Answer, str]]

# Which rows of the ledger an answer breaks, by operation and state.
_RULES = {
    ("create", ABSENT): "runtime/create/7",
    ("create", CREATED): "runtime/create/3",
    ("create", RUNNING): "runtime/create/3",
    ("create", STOPPED): "runtime/create/3",
    ("start", ABSENT): "runtime/start/6",
    ("start", CREATED): "runtime/start/7",
    ("start", RUNNING): "runtime/start/2",
    ("start", STOPPED): "runtime/start/4",
    ("state", ABSENT): "runtime/query-state/2",
    ("state", CREATED): "runtime/state/6",
    ("state", RUNNING): "runtime/state/7",
    ("state", STOPPED): "runtime/state/8",
    ("kill", ABSENT): "runtime/kill/4",
    ("kill", CREATED): "runtime/kill/6",
    ("kill", RUNNING): "runtime/kill/5",
    ("kill", STOPPED): "runtime/kill/2",
    ("delete", ABSENT): "runtime/delete/6",
    ("delete", CREATED): "runtime/delete/2",
    ("delete", RUNNING): "runtime/delete/4",
    ("delete", STOPPED): "runtime/delete/7",
}


def requirement(operation: str, state: str) -> str | None:
    """The ledger's row about an operation in a state; None where the specification has none."""
    return _RULES.get(("kill" if operation == "term" else operation, state))


def outcomes(operation: str, state: str) -> Outcomes:
    """The answers that are right in a state, each with the state after it.  KeyError for an unknown operation."""
    return _TABLE[operation, state]


def _stays(state: str, *answers: Answer) -> Outcomes:
    return frozenset((answer, state) for answer in answers)


def _make() -> dict[tuple[str, str], Outcomes]:
    table: dict[tuple[str, str], Outcomes] = {}
    for state in STATES:
        for operation in OPERATIONS:
            table[operation, state] = _stays(state, ERROR)
        table["state", state] = _stays(state, f"{OK}:{state}")
        table["update", state] = _stays(state, OK)
        table["force", state] = frozenset({(OK, ABSENT)})
    table["create", ABSENT] = frozenset({(OK, CREATED)})
    table["start", CREATED] = frozenset({(OK, RUNNING)})
    table["state", ABSENT] = table["update", ABSENT] = _stays(ABSENT, ERROR)
    table["exec", RUNNING] = _stays(RUNNING, OK)
    table["exec", CREATED] = _stays(CREATED, OK, ERROR)
    table["kill", CREATED] = table["kill", RUNNING] = frozenset({(OK, STOPPED)})
    # Pid 1 of a namespace dies of SIGTERM only if it has a handler: the program has, what waits for start has not.
    table["term", CREATED] = frozenset({(OK, CREATED), (OK, STOPPED)})
    table["term", RUNNING] = frozenset({(OK, STOPPED)})
    table["delete", STOPPED] = frozenset({(OK, ABSENT)})
    table["update", STOPPED] = _stays(STOPPED, OK, ERROR)
    table["pause", RUNNING] = frozenset({(OK, PAUSED)})
    table["pause", CREATED] = frozenset({(ERROR, CREATED), (OK, WRECK)})
    table["pause", PAUSED] = _stays(PAUSED, OK, ERROR)
    table["resume", PAUSED] = frozenset({(OK, RUNNING)})
    table["resume", RUNNING] = _stays(RUNNING, OK, ERROR)
    table["resume", CREATED] = _stays(CREATED, OK, ERROR)
    table["exec", PAUSED] = _stays(PAUSED, OK, ERROR)
    for operation in ("kill", "term"):  # of a frozen process: refused, or delivered when it is thawed
        table[operation, PAUSED] = frozenset({(ERROR, PAUSED), (OK, WRECK)})
    table["force", PAUSED] = frozenset({(OK, ABSENT), (ERROR, PAUSED)})
    for operation in OPERATIONS:
        table[operation, WRECK] = _stays(WRECK, OK, ERROR)
    table["create", WRECK] = frozenset({(OK, CREATED), (ERROR, WRECK)})
    table["delete", WRECK] = table["force", WRECK] = frozenset({(OK, ABSENT), (ERROR, WRECK)})
    anything = frozenset((f"{OK}:{status}", WRECK) for status in (CREATED, RUNNING, PAUSED, STOPPED, "creating"))
    table["state", WRECK] = anything | {(ERROR, WRECK)}
    return table


_TABLE = _make()


def after(operation: str, answer: Answer, states: Iterable[str]) -> frozenset[str]:
    """The states in which a container may be after an answer, empty when the answer is wrong in all of them."""
    if answer == KILLED:
        return frozenset({WRECK}) if operation in CHANGING else frozenset(states)
    return frozenset(new for state in states for possible, new in outcomes(operation, state) if possible == answer)


def together(calls: Sequence[tuple[str, Answer]], states: Iterable[str]) -> frozenset[str]:
    """The same of calls at the same time: as if one had come after the other, in some order.

    What is asked while another call is at work may also see that one half done: an error, or the status "creating".
    """
    names = [operation for operation, _ in calls]
    found: set[str] = set()
    for order in permutations(range(len(calls))):
        possible = frozenset(states)
        for number in order:
            operation, answer = calls[number]
            others = names[:number] + names[number + 1 :]
            possible = after(operation, answer, possible) or _half_done(operation, answer, others, possible)
        found |= possible
    return frozenset(found)


def _half_done(operation: str, answer: Answer, others: Sequence[str], states: frozenset[str]) -> frozenset[str]:
    """What an answer may mean that only makes sense in the middle of another call."""
    busy = CHANGING.intersection(others)
    deadly = busy & {"kill", "term", "force"}
    right = False
    if operation == "state":
        right = (answer == ERROR and bool(busy & {"create", "delete", "force"})) or (
            answer == f"{OK}:creating" and "create" in busy
        )
        # A container that is thawed to be killed runs for a moment, and is stopped before it is gone.
        right = right or ("force" in busy and answer in (f"{OK}:{RUNNING}", f"{OK}:{STOPPED}", f"{OK}:{CREATED}"))
    elif operation in ("exec", "update"):  # its container has just gone, or is not there yet
        right = answer == ERROR and bool(busy)
    elif operation == "create" and answer == ERROR and deadly:  # killed before it was finished
        return frozenset({ABSENT, WRECK})
    elif operation in ("kill", "term") and answer == OK and "create" in busy:
        return states | {WRECK}
    return states if right else frozenset()
