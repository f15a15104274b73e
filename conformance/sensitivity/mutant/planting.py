"""Plants bugs in the reference runtime, in this process, by the names of the mutations.

A bug is planted in a module when the command that runs imports it, and what that takes is imported then: most commands
of a mutant have nothing to do with its bug, and cost what they cost without it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FunctionType
    from typing import Any

PACKAGE = "seatrial.runtime"
_HERE = __name__
_mark = ""
later: dict[str, list[Callable[[], None]]] = {}  # module -> what is to be done once it is imported


def plant(names: list[str], mark: str, verb: str) -> None:
    """Plant the mutations of these names; `mark` is the file that appears when one of them has changed something
    ("": none), `verb` the command that runs.  Raises ValueError for a name that is none."""
    global _mark
    _mark = mark
    changes: dict[str, list[tuple[str, str]]] = {}
    outputs: list[tuple[str, str]] = []
    statuses: list[tuple[str, str]] = []
    for name in names:
        family, _, rest = name.partition("/")
        head, _, rule = rest.rpartition("/")
        if family == "step" and rule == "skipped":
            _in(head.partition(":")[0], _skip, head)
        elif family == "step" and rule.startswith("swapped "):
            _in(head.partition(":")[0], _swap, head, int(rule.removeprefix("swapped ")))
        elif family == "file" and head:
            _in("cgroup.files", _falsify_file, head, rule)
            _in("idmap", _falsify_map, head, rule)
        elif family in ("plan", "answer", "status") and "/" in head:
            part, _, what = head.partition("/")
            if family == "plan":
                changes.setdefault(part, []).append((what, rule))
            elif part == verb:
                (outputs if family == "answer" else statuses).append((what, rule))
            elif part == "pid-file":
                _in("pid_file", _falsify_pid_file, rule)
        else:
            raise ValueError(f"no mutation is called {name}")
    for kind, transforms in changes.items():
        _in(COMPILERS[kind][0], _change_plans, kind, transforms)
    if outputs:
        _change_output(outputs)
    if statuses:
        _change_status(verb, statuses)


def _in(name: str, do: Callable[..., None], *arguments: Any) -> None:
    """Do something to a module of the runtime: now, if it has been imported, else as soon as it is."""
    full = f"{PACKAGE}.{name}"
    later.setdefault(full, []).append(lambda: do(*arguments))
    if full in sys.modules:
        imported(full)


def imported(full: str) -> None:
    """Called for each module that has just been imported."""
    for do in later.pop(full, ()):
        do()


def applied() -> None:
    """Note that the runtime now does something else than it should; in a container of its own it cannot."""
    if _mark:
        try:
            # Whoever made it: a mutant is run by several users.
            os.close(os.open(_mark, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError:
            pass


def module(name: str) -> Any:
    """A module of the runtime."""
    return __import__(f"{PACKAGE}.{name}", fromlist=("",))


# -- plans -------------------------------------------------------------------------------------------------------------

COMPILERS = {"init": ("creation", "compile_init"), "exec": ("execution", "compile_exec")}  # where they are used


def _change_plans(kind: str, transforms: list[tuple[str, str]]) -> None:
    from seatrial.conformance.sensitivity import plans

    user, name = COMPILERS[kind]
    real = vars(module(user))[name]
    operation = module("plan.operation").Operation

    def planted(config: Any, environment: Any) -> Any:
        plan = real(config, environment)
        before = [(entry.name, entry.values) for entry in plan.operations]
        after = before
        for what, rule in transforms:
            after = plans.mutate(what, rule, after)
        if after != before:
            applied()
            plan.operations = [operation(name, *values) for name, values in after]
        return plan

    vars(module(user))[name] = planted


# -- steps of the parent -----------------------------------------------------------------------------------------------

_SKIPPED = """
def skipped(*arguments, **options):
    __import__("sys").modules[{here!r}].applied()
    return {empty}
"""


def _skip(name: str) -> None:
    """Put another code into the function object: whoever holds a reference calls the planted one."""
    from seatrial.conformance.sensitivity.mutant.steps import empty_of

    function, _path = _function(name)
    namespace: dict[str, Any] = {}
    exec(_SKIPPED.format(here=_HERE, empty=empty_of(function.__annotations__["return"])), namespace)
    _replace_code(name, function, namespace["skipped"])


def _swap(name: str, number: int) -> None:
    import ast

    from seatrial.conformance.sensitivity.mutant.steps import functions, pairs

    function, path = _function(name)
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    wanted = name.partition(":")[2]
    node = dict(functions(tree))[wanted]
    block, index = pairs(node)[number - 1]
    note = ast.parse(f'__import__("sys").modules[{_HERE!r}].applied()').body
    block[index : index + 2] = [*note, block[index + 1], block[index]]
    ast.fix_missing_locations(tree)
    found = _code_of(compile(tree, path, "exec", dont_inherit=True, optimize=2), wanted.split("."))
    function.__code__ = found


def _code_of(code: CodeType, names: list[str]) -> CodeType:
    for constant in code.co_consts:
        if hasattr(constant, "co_name") and constant.co_name == names[0]:
            return _code_of(constant, names[1:]) if len(names) > 1 else constant
    raise ValueError(f"no code of {names}")


def _function(name: str) -> tuple[FunctionType, str]:
    """The function object of "module:Class.name", and its source file."""
    place, _, path = name.partition(":")
    owner: Any = module(place)
    source: str = owner.__file__
    for word in path.split("."):
        owner = vars(owner)[word]
    for inner in ("__func__", "fget", "__wrapped__"):
        owner = getattr(owner, inner, owner)
    return owner, source


def _replace_code(name: str, function: FunctionType, planted: FunctionType) -> None:
    try:
        function.__code__ = planted.__code__
    except ValueError:  # it refers to its surroundings (super()): the class gets another function
        place, _, path = name.partition(":")
        owner: Any = module(place)
        *outer, last = path.split(".")
        for word in outer:
            owner = getattr(owner, word)
        setattr(owner, last, planted)


def _falsify_file(name: str, rule: str) -> None:
    users = module("cgroup.files")
    write_file = users.write_file

    def planted(path: str, text: str) -> None:
        changed = _falsified(text, rule) if path.rpartition("/")[2] == name else text
        if changed is not None:
            write_file(path, changed)

    users.write_file = planted


def _falsify_map(name: str, rule: str) -> None:
    maps = module("idmap")
    write_map = maps.write_map

    def planted(pid: int, file: str, text: bytes) -> None:
        changed = _falsified(text.decode(), rule) if file == name else text.decode()
        if changed is not None:
            write_map(pid, file, changed.encode())

    maps.write_map = planted


def _falsified(text: str, rule: str) -> str | None:
    """What is written instead of a text; None: nothing."""
    from seatrial.conformance.sensitivity.files import doubled

    changed = doubled(text) if rule == "doubled" else None
    if changed != text:
        applied()
    return changed


# -- answers -----------------------------------------------------------------------------------------------------------


def _change_output(transforms: list[tuple[str, str]]) -> None:
    """Verbs import `write_stdout` when they are imported, which comes later."""
    from seatrial.conformance.sensitivity import answers

    main = module("cli.main")
    real = main.write_stdout

    def planted(text: str) -> None:
        changed = text
        for what, rule in transforms:
            changed = answers.mutate(what, rule, changed)
        if changed != text:
            applied()
        real(changed)

    main.write_stdout = planted


def _change_status(verb: str, transforms: list[tuple[str, str]]) -> None:
    from seatrial.conformance.sensitivity import answers

    main = module("cli.main")
    real = main.main

    def planted() -> int:
        status: int = real()
        changed = status
        if "--help" in sys.argv:  # by which the harness asks whether there is such a command: it would skip the cases
            return status
        for what, rule in transforms:
            changed = answers.mutate_status(what, rule, changed)
        if changed != status:
            applied()
        return changed

    main.main = planted


def _falsify_pid_file(rule: str) -> None:
    files = module("pid_file")
    real: Callable[[str, Any], None] = files.write_pid_file

    def planted(path: str, pid: int) -> None:
        applied()
        real(path, pid + 1)
        if rule == "empty":
            os.truncate(path, 0)

    files.write_pid_file = planted
