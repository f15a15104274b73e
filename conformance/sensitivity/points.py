"""From what the recorder wrote to the mutations that would change something in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from seatrial.conformance.sensitivity import answers, files, plans


class Ears:
    """Knows which steps of the parent there are: those that were called can be skipped or swapped."""

    def __init__(self, steps: set[str]) -> None:
        self.by_function: dict[str, list[str]] = {}
        for name in steps:
            self.by_function.setdefault(name.removeprefix("step/").rpartition("/")[0], []).append(name)

    def points(self, lines: Iterable[str]) -> set[str]:
        """The names of the mutations that could show in the invocations of this log."""
        found: set[str] = set()
        for line in lines:
            try:
                kind, *rest = json.loads(line)
            except ValueError:  # a runtime was killed as it wrote
                continue
            if kind == "call":
                found.update(self.by_function.get(rest[0], ()))
            elif kind == "plan":
                found |= plans.names(rest[0], [(name, tuple(map(_value, values))) for name, values in rest[1]])
            elif kind == "file":
                found |= files.names(*rest)
            elif kind == "answer" and rest[0] == "pid-file":
                found |= {"answer/pid-file/content/empty", "answer/pid-file/content/false"}
            elif kind == "answer" and rest[0]:
                found |= answers.names(*rest)
            elif kind == "status":
                found |= answers.status_names(*rest)
        return found


def _value(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
