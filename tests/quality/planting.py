"""How bugs are planted in the reference runtime: the tools that the tables of mutants are written with.

A plant is a function without arguments that replaces something of seatrial.runtime in this process, before the command
line runs.  Whatever a plant puts in place calls `applied` when it has really changed what the runtime does: a mutant
that never says so is no mutant, and its test is an error.

This module is imported by the mutant's process, which starts as quickly as the launcher: no dataclasses, no re.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation
    from seatrial.runtime.plan.plan import Plan

    Plant = Callable[[], None]
    Transform = Callable[[list[Operation]], list[Operation]]
    Condition = Callable[[dict[str, Any]], bool]
    Changes = Callable[[dict[str, Any]], dict[str, Any]]

_mark = ""


class Mutant:
    """A planted bug.  `bug` says what the runtime does wrong; `cases` are the node ids, relative to conformance/cases,
    of the cases that ought to notice; `view` the cgroup hierarchies that they see (seatrial check --cgroup-view)."""

    __slots__ = ("bug", "cases", "name", "plant", "view")

    def __init__(self, name: str, bug: str, plant: Plant, *cases: str, view: str = "host") -> None:
        self.name = name
        self.bug = bug
        self.plant = plant
        self.cases = cases
        self.view = view


def mark_with(path: str) -> None:
    """Name the file by which `applied` tells the test that the mutation took place."""
    global _mark
    _mark = path


def applied() -> None:
    """Note that the runtime now does something else than it should."""
    os.close(os.open(_mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


# -- plans -------------------------------------------------------------------------------------------------------------


def compiling(change: Callable[[Callable[[Config, Environment], Plan], Config, Environment], Plan]) -> Plant:
    """Plants a function in the place of `compile_init`; it gets the real one, the config and the environment."""
    return _in_place_of("creation", "compile_init", change)


def _in_place_of(
    module: str, name: str, change: Callable[[Callable[[Config, Environment], Plan], Config, Environment], Plan]
) -> Plant:
    def plant() -> None:
        user = __import__(f"seatrial.runtime.{module}", fromlist=("",))
        real = vars(user)[name]
        vars(user)[name] = lambda config, environment: change(real, config, environment)

    return plant


def plan(*transforms: Transform) -> Plant:
    """Plants a change of every plan of a container's first process."""
    return compiling(_changing(*transforms))


def exec_plan(*transforms: Transform) -> Plant:
    """Plants a change of every plan of `exec`."""
    return _in_place_of("execution", "compile_exec", _changing(*transforms))


def _changing(
    *transforms: Transform,
) -> Callable[[Callable[[Config, Environment], Plan], Config, Environment], Plan]:
    def change(real: Callable[[Config, Environment], Plan], config: Config, environment: Environment) -> Plan:
        plan = real(config, environment)
        operations = plan.operations
        for transform in transforms:
            operations = transform(list(operations))
        if operations != plan.operations:
            applied()
            plan.operations = operations
        return plan

    return change


def dropped(*names: str, where: Condition | None = None) -> Transform:
    """The plan without the operations of these names (of those, without the ones that meet the condition)."""

    def transform(operations: list[Operation]) -> list[Operation]:
        return [entry for entry in operations if not _is(entry, names, where)]

    return transform


def changed(*names: str, to: Changes, where: Condition | None = None) -> Transform:
    """The plan with other arguments in these operations: `to` gets the arguments and returns those that change."""

    def transform(operations: list[Operation]) -> list[Operation]:
        return [entry.replace(**to(entry.arguments())) if _is(entry, names, where) else entry for entry in operations]

    return transform


def only_first(name: str) -> Transform:
    """The plan with only the first of several operations of a name."""

    def transform(operations: list[Operation]) -> list[Operation]:
        all_of_it = [entry for entry in operations if entry.name == name]
        return [entry for entry in operations if entry.name != name or entry is all_of_it[0]]

    return transform


def without(bits: int, *arguments: str) -> Changes:
    """For `changed`: these bits cleared in these arguments."""
    return lambda values: {name: values[name] & ~bits for name in arguments if name in values}


def _is(entry: Operation, names: tuple[str, ...], where: Condition | None) -> bool:
    return entry.name in names and (where is None or where(entry.arguments()))


# -- steps of the parent -----------------------------------------------------------------------------------------------


def replaced(place: str, function: Callable[..., Any]) -> Plant:
    """Plants `function` in the place of "module:name" or "module:Class.name", below seatrial.runtime.

    It gets what was there as its first argument, then the arguments of the call, `self` included.  A class method or
    static method stays one; the real one then takes no class.
    """

    def plant() -> None:
        module, _, path = place.partition(":")
        owner: Any = __import__(f"seatrial.runtime.{module}", fromlist=("",))
        *outer, name = path.split(".")
        for word in outer:
            owner = getattr(owner, word)
        bound = isinstance(owner, type) and isinstance(owner.__dict__[name], (classmethod, staticmethod))
        real = getattr(owner, name)

        def planted(*arguments: Any, **options: Any) -> Any:
            return function(real, *arguments, **options)

        setattr(owner, name, staticmethod(planted) if bound else planted)

    return plant


def skipped(_real: Callable[..., Any], *_arguments: Any, **_options: Any) -> None:
    """For `replaced`: a step that is not done."""
    applied()


def both(*plants: Plant) -> Plant:
    """Several plants that make one bug."""

    def plant() -> None:
        for one in plants:
            one()

    return plant
