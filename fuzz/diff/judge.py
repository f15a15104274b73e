"""Who is right: what the specification owes for a config, against what each runtime gave."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from seatrial.conformance.engine.needs import CAPABILITIES
from seatrial.fuzz.diff import identity
from seatrial.fuzz.diff.identity import Difference
from seatrial.fuzz.diff.observe import ACCEPTED, CRASHED, HUNG
from seatrial.fuzz.diff.paths import Document, Place, get

UNSPECIFIED = "the specification leaves it open, or this program does not know"
INVALID, ERRORS, STATE = "config/valid-values/1", "runtime/errors/1", "runtime/query-state/3"
Owed = tuple[str, str]  # a row of the ledger, and a pattern of the leaf's value


def judge(
    found: Sequence[Difference],
    config: Document,
    invalid: str | None,
    runtimes: Sequence[str],
    answers: Sequence[str],
) -> list[str]:
    """A line for each runtime that breaks a row of the ledger, or the one line UNSPECIFIED.  `invalid` is the JSON path
    of the value for which a refusal is owed; `answers` are what the runtimes gave."""
    lines: dict[str, None] = {}
    for difference in found:
        for runtime, value, answer in zip(runtimes, difference.values, answers, strict=True):
            for row, why in _broken(difference, value, config, invalid, answer):
                lines[f"{runtime} breaks {row}: {why}"] = None
    return list(lines) or [UNSPECIFIED]


def _broken(
    difference: Difference, value: str, config: Document, invalid: str | None, answer: str
) -> Iterator[tuple[str, str]]:
    if difference.kind == identity.ANSWER:
        if value in (CRASHED, HUNG):
            yield "runtime/create/11" if invalid else "runtime/create/7", value
        elif value == ACCEPTED and invalid is not None:
            yield INVALID, f"accepted, although {invalid} is not valid"
        # A refusal of what is valid breaks nothing by itself: config/valid-values/3, a subset may be supported.
    elif difference.kind == identity.LEFT and value != "nothing":
        yield ("runtime/delete/7" if answer == ACCEPTED else ERRORS), f"{value} left behind"
    elif difference.kind == identity.REPORT and invalid is None:
        owed = expected(difference.where, config)
        if owed is not None and not re.fullmatch(owed[1], value):
            yield owed[0], f"{difference.where} is {value}"


def expected(leaf: str, config: Document) -> Owed | None:
    """What the specification owes for a leaf of the report (sweep.proof's names); None where this program does not
    know."""
    for prefix, rule in _RULES:
        if leaf.startswith(prefix):
            return rule(leaf.removeprefix(prefix), config)
    return None


def _same(place: Place, row: str) -> Callable[[str, Document], Owed | None]:
    """The leaf is the value at a place of the config, where there is one."""

    def rule(rest: str, config: Document) -> Owed | None:
        value = get(config, place)
        return None if value is None or rest else (row, _exactly(value))

    return rule


def _ids(name: str, row: str) -> Callable[[str, Document], Owed | None]:
    def rule(rest: str, config: Document) -> Owed | None:
        value = get(config, ("process", "user", name))
        return None if value is None else (row, _exactly(value))

    return rule


def _rlimits(rest: str, config: Document) -> Owed | None:
    name, _, number = rest.partition("[")
    entries = [entry for entry in _list(config, "process", "rlimits") if entry.get("type") == name]
    if len(entries) != 1 or number not in ("0]", "1]"):
        return None
    member, row = (("soft", "config/posix-process/7"), ("hard", "config/posix-process/9"))[int(number[0])]
    return row, _exactly(entries[0].get(member))


_SETS = {"effective": 6, "bounding": 7, "inheritable": 8, "permitted": 9, "ambient": 10}


def _caps(rest: str, config: Document) -> Owed | None:
    names = get(config, ("process", "capabilities", rest))
    if not isinstance(names, list) or get(config, ("process", "user", "uid")) != 0:
        return None  # execve(2) changes the sets of whoever is not root
    known = [f"CAP_{name}" for name in CAPABILITIES]
    if not set(names) <= set(known):
        return None
    bits = sum(1 << known.index(name) for name in set(names))
    return f"config/linux-process/{_SETS[rest]}", _exactly(f"{bits:016x}")


def _environment(rest: str, config: Document) -> Owed | None:
    values = [entry.partition("=")[2] for entry in _list(config, "process", "env") if entry.partition("=")[0] == rest]
    return ("config/process/11", _exactly(values[0])) if len(values) == 1 else None


_PROPAGATION = {"shared": (3, r"'shared:.*"), "slave": (4, r"(?!'shared).*"), "private": (5, r"(?!'shared).*")}


def _propagation(rest: str, config: Document) -> Owed | None:
    wanted = get(config, ("linux", "rootfsPropagation"))
    if rest != "[0]" or wanted not in _PROPAGATION:
        return None
    number, pattern = _PROPAGATION[wanted]
    return f"config-linux/rootfs-mount-propagation/{number}", pattern


def _exactly(value: Any) -> str:
    return re.escape(repr(value))


def _readonly(rest: str, config: Document) -> Owed | None:
    value = get(config, ("root", "readonly"))
    return ("config/root/7", "True") if value is True else None


_RULES: tuple[tuple[str, Callable[[str, Document], Owed | None]], ...] = (
    ("ids.uid", _ids("uid", "config/posix-platform-user/1")),
    ("ids.gid", _ids("gid", "config/posix-platform-user/2")),
    ("umask", _same(("process", "user", "umask"), "config/posix-platform-user/3")),
    ("cwd", _same(("process", "cwd"), "config/process/9")),
    ("oom_score_adj", _same(("process", "oomScoreAdj"), "config/linux-process/13")),
    ("no_new_privs", _same(("process", "noNewPrivileges"), "config/linux-process/11")),
    ("uts.nodename", _same(("hostname",), "config/hostname/1")),
    ("uts.domainname", _same(("domainname",), "config/domainname/1")),
    ("rlimits.", _rlimits),
    ("caps.", _caps),
    ("env.", _environment),
    ("rootfs.readonly", _readonly),
    ("rootfs.propagation", _propagation),
)


def _list(config: Document, *place: str) -> list[Any]:
    value = get(config, place)
    return value if isinstance(value, list) else []
