"""Steps of a lifecycle, and their text: lines that look like shell, one a step, which are read again for a replay.

$R create --bundle a a
$R start a
$R kill a KILL & $R delete a & wait
$R delete --force a & sleep 0.012; kill -KILL $!
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.fuzz.lifecycle.model import OPERATIONS

SLOTS = ("a", "b")  # what containers are called in a script
SIGNALS = ("KILL", "TERM", "INT")
_WORDS = {
    "create": "create --bundle {0} {0}",
    "exec": "exec {0} /probe getpid",
    "kill": "kill {0} KILL",
    "term": "kill {0} TERM",
    "update": "update --pids-limit 77 {0}",
    "force": "delete --force {0}",
}
_STRUCK = re.compile(r"(?P<call>\$R .*?) & sleep (?P<seconds>[0-9.]+); kill -(?P<signal>[A-Z]+) \$!")


@dataclass(frozen=True, slots=True)
class Step:
    """Operations on the container of a slot, more than one at the same time; with `signal` (a name such as KILL) the
    one invocation is struck after `delay` seconds."""

    slot: str
    operations: tuple[str, ...]
    signal: str | None = None
    delay: float = 0.0

    def __str__(self) -> str:
        calls = [f"$R {_words(operation, self.slot)}" for operation in self.operations]
        if self.signal is not None:
            return f"{calls[0]} & sleep {self.delay:.3f}; kill -{self.signal} $!"
        return calls[0] if len(calls) == 1 else " & ".join([*calls, "wait"])


def _words(operation: str, slot: str) -> str:
    return _WORDS.get(operation, operation + " {0}").format(slot)


_CALLS = {f"$R {_words(operation, slot)}": (operation, slot) for operation in OPERATIONS for slot in SLOTS}


def parse(lines: Iterable[str]) -> list[Step]:
    """The steps of a script; comments and empty lines are passed over.  EnvironmentProblem for any other line."""
    steps = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith(("#", "R=")):
            continue
        struck = _STRUCK.fullmatch(text)
        parts = [struck["call"]] if struck else text.removesuffix(" & wait").split(" & ")
        known = [_CALLS.get(part) for part in parts]
        slots = {found[1] for found in known if found is not None}
        if None in known or len(slots) != 1 or (struck and struck["signal"] not in SIGNALS):
            raise EnvironmentProblem(f"line {number} of the script is no step: {text}")
        operations = tuple(found[0] for found in known if found is not None)
        if struck:
            steps.append(Step(slots.pop(), operations, struck["signal"], float(struck["seconds"])))
        else:
            steps.append(Step(slots.pop(), operations))
    return steps


def write(steps: Iterable[Step], remarks: Iterable[str], runtime: str) -> str:
    """The script with remarks before it."""
    head = ["#!/bin/sh", *(f"# {line}" for remark in remarks for line in remark.splitlines()), f"R={runtime}"]
    return "\n".join([*head, *map(str, steps)]) + "\n"
