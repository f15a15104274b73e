"""The steps of the parent, found in the source of the reference runtime.

A step is a function or method that brings something about or answers for it:

* every one that is annotated `-> None`: it is there for its effect, a check for its refusal;
* outside the modules that only compute, every one whose result has a natural empty value (False, 0, "", [], None).

Skipped, a step returns that value.  Where a step calls two other ones in a row, these can change places.
"""

from __future__ import annotations

import ast
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What only words, logs or caches come out of: a conformance suite never compares texts.
WORDS = ("bundle", "errors", "hints", "log", "cli.log", "plan.description", "plan.decode", "cli.plan")
# What only computes: its results are in the plan, and mutated there.  Its checks are steps nonetheless.
COMPUTES = (
    "capability", "config", "convert", "cpus", "default_devices", "document", "features", "load", "mount_options",
    "number_list", "plan", "seccomp.cache", "seccomp.compiled", "seccomp.enosys", "seccomp.filter",
    "seccomp.libseccomp", "signals", "spec", "spec_template", "sysctl", "user", "validate", "version",
    "cgroup.device_program", "cgroup.device_rules", "cgroup.gvariant", "cgroup.systemd_properties", "cgroup.values",
    "cli.duration", "cli.options", "cli.stats_document",
)  # fmt: skip

EMPTY = {"None": "None", "bool": "False", "int": "0", "str": "''", "bytes": "b''", "float": "0.0"}
_CONTAINERS = {"list": "[]", "dict": "{}", "set": "set()", "frozenset": "frozenset()"}


def find(place: str) -> dict[str, str]:
    """Mutation -> the expression of the value that the skipped step returns ("" for a swap), of all the runtime's
    source below `place`."""
    found: dict[str, str] = {}
    for module, path in _sources(os.path.join(place, "runtime")):
        if module in WORDS:
            continue
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        computes = module in COMPUTES or any(module.startswith((f"{name}.", f"{name}_")) for name in COMPUTES)
        for name, function in functions(tree):
            empty = _empty(ast.unparse(function.returns)) if function.returns is not None else None
            if empty is not None and (empty == "None" or not computes) and not _generates(function):
                found[f"step/{module}:{name}/skipped"] = empty
            if not computes:
                for number in range(1, len(pairs(function)) + 1):
                    found[f"step/{module}:{name}/swapped {number}"] = ""
    return found


def empty_of(annotation: str) -> str:
    """The expression of the value that a skipped step returns, by its return annotation.  Raises ValueError if there
    is no such value."""
    empty = _empty(annotation)
    if empty is None:
        raise ValueError(f"no natural empty value of {annotation}")
    return empty


def functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods by their qualified names; not those within functions, nor Python's own (`__init__` ...)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{outer}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("__"):
            yield outer + node.name, node


def pairs(function: ast.FunctionDef) -> list[tuple[list[ast.stmt], int]]:
    """Where two statements in a row call different functions: the list of statements, and the first one's index."""
    found = []
    for node in ast.walk(function):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            for index in range(len(block) - 1):
                first, second = _callee(block[index]), _callee(block[index + 1])
                if first and second and first != second:
                    found.append((block, index))
    return found


def _callee(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return ast.unparse(statement.value.func)
    return ""


def _generates(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))


def _empty(text: str) -> str | None:
    """The natural empty value of a return annotation; None where there is no such value."""
    if text.endswith("| None"):
        return "None"
    name = text.partition("[")[0]
    if name == "tuple":
        returns = ast.parse(text, mode="eval").body
        if not isinstance(returns, ast.Subscript):
            return None
        inner = returns.slice.elts if isinstance(returns.slice, ast.Tuple) else [returns.slice]
        if len(inner) == 2 and ast.unparse(inner[1]) == "...":
            return "()"
        values = [_empty(ast.unparse(entry)) for entry in inner]
        return None if None in values else f"({', '.join(str(value) for value in values)},)"
    return EMPTY.get(text) or _CONTAINERS.get(name)


def _sources(top: str) -> Iterator[tuple[str, str]]:
    for directory, below, files in os.walk(top):
        below[:] = sorted(name for name in below if name not in ("__pycache__", "entry"))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("__"):
                path = os.path.join(directory, name)
                yield os.path.relpath(path, top)[:-3].replace(os.sep, "."), path
