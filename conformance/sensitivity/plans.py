"""Mutations of a plan: the names of those that apply to it, and the plan that each makes of it.

A name says it all, so that an executable needs nothing but its mutants' names:

    plan/init/mount/dropped                 every mount of a container's first process
    plan/init/mount[/proc]/dropped          the mount of /proc alone
    plan/exec/capset.effective/all          an argument weakened
    plan/init/pivot_root, null_stdio/swapped

An operation here is (name, values), the values in the order of the operation table.
"""

from __future__ import annotations

import itertools

from seatrial.conformance.sensitivity.order import commute
from seatrial.conformance.sensitivity.parameters import ARGUMENTS, KEYS, weaker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Operation = tuple[str, tuple[Any, ...]]

KINDS = ("init", "exec")  # a container's first process, and another one in it


def names(kind: str, operations: Sequence[Operation]) -> set[str]:
    """The mutations that change this plan."""
    found: set[str] = set()
    for name, values in operations:
        found.add(f"plan/{kind}/{name}/dropped")
        key = _key(name, values)
        if key is not None:
            found.add(f"plan/{kind}/{name}[{key}]/dropped")
        for (argument, wire), value in zip(ARGUMENTS[name], values, strict=True):
            found.update(f"plan/{kind}/{name}.{argument}/{rule}" for rule in weaker(name, argument, wire, value))
    found.update(f"plan/{kind}/{first}, {second}/swapped" for first, second in _neighbours(operations))
    return found


def mutate(what: str, rule: str, operations: Sequence[Operation]) -> list[Operation]:
    """The plan as the mutation "plan/KIND/`what`/`rule`" makes it; unchanged where it does not apply."""
    if rule == "swapped":
        first, _, second = what.partition(", ")
        return _swapped(first, second, operations)
    name, _, argument = what.partition(".") if "[" not in what else (what, "", "")
    name, _, key = name.partition("[")
    changed = []
    for entry in operations:
        if entry[0] != name or (key and _key(*entry) != key.removesuffix("]")):
            changed.append(entry)
        elif argument:
            changed.append((name, tuple(_weakened(entry, argument, rule))))
    return changed


def _key(name: str, values: tuple[Any, ...]) -> str | None:
    wanted = KEYS.get(name)
    for (argument, _), value in zip(ARGUMENTS[name], values, strict=True):
        if argument == wanted:
            return f"{value:#x}" if argument == "type" else str(value)
    return None


def _weakened(entry: Operation, wanted: str, rule: str) -> Iterator[Any]:
    name, values = entry
    for (argument, wire), value in zip(ARGUMENTS[name], values, strict=True):
        yield weaker(name, argument, wire, value).get(rule, value) if argument == wanted else value


def _neighbours(operations: Sequence[Operation]) -> Iterator[tuple[str, str]]:
    for first, second in itertools.pairwise(operations):
        if _depend(first, second):
            yield first[0], second[0]


def _depend(first: Operation, second: Operation) -> bool:
    """Whether two different neighbours may not change places."""
    if first[0] == second[0] or commute(first[0], second[0]):
        return False
    one, other = _target(first), _target(second)
    apart = one is not None and other is not None and not (_within(one, other) or _within(other, one))
    return not apart  # what is done at two places of the file system is done in any order


def _target(operation: Operation) -> str | None:
    name, values = operation
    if name == "bind_inside":  # has two places
        return None
    places = [value for (argument, _), value in zip(ARGUMENTS[name], values, strict=True) if argument == "target"]
    return str(places[0]).rstrip("/") if places else None


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


def _swapped(first: str, second: str, operations: Sequence[Operation]) -> list[Operation]:
    changed = list(operations)
    index = 0
    while index + 1 < len(changed):
        pair = changed[index], changed[index + 1]
        if (pair[0][0], pair[1][0]) == (first, second) and _depend(*pair):
            changed[index], changed[index + 1] = changed[index + 1], changed[index]
            index += 1  # each pair once: the operation that went back is not carried on
        index += 1
    return changed
