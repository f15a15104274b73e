"""Mutations of what a command line answers: standard output, exit status, pid file.

answer/state/status/missing       a member of the printed object left out
answer/state/status/false         a member with another value of its type
answer/ps/output/empty            nothing printed
status/kill/success/1             the exit status of what succeeded
status/kill/failure/0             ... and of what was refused
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

OPAQUE = ("annotations", "raw")  # the keys of these objects are the caller's, and the kernel's
FOREGROUND = ("run", "exec")  # their status is the program's


def names(verb: str, text: str) -> set[str]:
    """The mutations that change this output of a verb."""
    if not text:
        return set()
    found = {f"answer/{verb}/output/empty"}
    document = _parse(text)
    if document is None:
        if text.count("\n") > 1:
            found.add(f"answer/{verb}/output/one line fewer")
        return found
    for path in _paths(document):
        found |= {f"answer/{verb}/{path}/missing", f"answer/{verb}/{path}/false"}
    if not isinstance(document, dict):
        found.add(f"answer/{verb}/output/false")
    return found


def status_names(verb: str, status: int) -> set[str]:
    """The mutations that change this exit status of a verb."""
    if status == 0:
        return {f"status/{verb}/success/1"}
    found = {f"status/{verb}/failure/0"}
    if verb in FOREGROUND:
        found.add(f"status/{verb}/failure/plus 1")
    return found


def mutate(what: str, rule: str, text: str) -> str:
    """The output as the mutation "answer/VERB/`what`/`rule`" makes it."""
    if rule == "empty":
        return ""
    if rule == "one line fewer":
        lines = text.splitlines(keepends=True)
        return "".join(lines[:-1]) if len(lines) > 1 else text
    document = _parse(text)
    if document is None:
        return text
    if what == "output":
        return json.dumps(_false(document)) + "\n" if not isinstance(document, dict) else text
    before = json.dumps(document)
    for entry in document if isinstance(document, list) else [document]:
        _change(entry, what.split("."), rule)
    after = json.dumps(document)
    return after + "\n" if after != before else text


def mutate_status(what: str, rule: str, status: int) -> int:
    """The exit status as the mutation "status/VERB/`what`/`rule`" makes it."""
    if (status == 0) != (what == "success"):
        return status
    return status + 1 if rule == "plus 1" else int(rule)


def _parse(text: str) -> Any:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict | list) else None


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The members of an object at any depth, and of the objects in a list, as NAME.NAME..."""
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict):
                yield from _paths(entry, prefix)
        return
    for name, inner in value.items() if isinstance(value, dict) else ():
        if "." in name or "/" in name:
            continue
        yield prefix + name
        if name not in OPAQUE:
            yield from _paths(inner, f"{prefix}{name}.") if isinstance(inner, dict) else ()


def _change(value: Any, path: list[str], rule: str) -> None:
    if not isinstance(value, dict) or path[0] not in value:
        return
    if len(path) > 1:
        _change(value[path[0]], path[1:], rule)
    elif rule == "missing":
        del value[path[0]]
    else:
        value[path[0]] = _false(value[path[0]])


def _false(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [_false(entry) for entry in value] if value else ["x"]
    if isinstance(value, dict):
        return {name: _false(inner) for name, inner in value.items()} if value else {"x": "x"}
    return "x"  # null
