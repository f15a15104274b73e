"""Expectation files: which cases are known to fail, for which runtime, where, and why (docs/gating.md).

[[expect]]
case = "lifecycle/test_delete.py::test_*"   an id, a glob (`*`, `?`; brackets stand for themselves), or a list
reason = "..."                              required
outcome = "failed"                          or crashed, timeout, flaky, skipped
runtime = "runc >=1.1 <1.2"                 name, then versions; left out: any
condition = { cgroup = "v1" }               left out: anywhere
link = "https://..."
expires = 2027-06-30
"""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import versions

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expectations")
FAILED, CRASHED, TIMEOUT, FLAKY, SKIPPED = "failed", "crashed", "timeout", "flaky", "skipped"
OUTCOMES = (FAILED, CRASHED, TIMEOUT, FLAKY, SKIPPED)
STRICT = (FAILED, CRASHED, TIMEOUT)  # a pass is unexpected
CHOICES = {
    "cgroup": ("v1", "v2", "hybrid"),
    "privilege": ("root", "rootless"),
    "profile": ("spec", "runc-compat"),
    "mask": None,
}  # members of a condition, beside `kernel`; None: any word
HEADER = re.compile(r"\s*\[\[\s*expect\s*\]\]")


@dataclass(frozen=True, slots=True)
class Facts:
    """What entries are held against: the runtime and the surroundings of a run."""

    runtime: tuple[str, ...]
    version: str
    kernel: str
    cgroup: str
    privilege: str
    profile: str
    mask: tuple[str, ...]

    @classmethod
    def of(cls, stamp: dict[str, Any]) -> Facts:
        """The facts in a stamp.  A runtime is known by the first word of its version text and by its file's name."""
        runtime = stamp["runtime"]
        text = runtime["name"] or ""
        words = [word for word in (text.split()[:1] or [""]) if word]
        return cls(
            runtime=(*words, os.path.basename(runtime["path"])),
            version=versions.find(text),
            kernel=versions.find(stamp["host"]["kernel"]),
            cgroup=stamp["cgroup"]["view"],
            privilege=stamp["privilege"],
            profile=stamp["profile"],
            mask=tuple(stamp.get("masks", ())),
        )


@dataclass(frozen=True)
class Expectation:
    """One entry.  `where` is the file and, if it can be told, the line."""

    cases: tuple[str, ...]
    reason: str
    outcome: str
    runtime: str | None
    condition: dict[str, Any]
    link: str | None
    expires: datetime.date | None
    where: str

    def applies(self, facts: Facts) -> bool:
        """Whether runtime and condition are those of the run."""
        if self.runtime is not None:
            name, _, wanted = self.runtime.partition(" ")
            if name not in facts.runtime or not versions.matches(wanted, facts.version):
                return False
        for member, wanted in self.condition.items():
            if member == "kernel":
                if not versions.matches(wanted, facts.kernel):
                    return False
                continue
            allowed = {wanted} if isinstance(wanted, str) else set(wanted)
            found = getattr(facts, member)
            here = set(found) or {"none"} if isinstance(found, tuple) else {found}
            if not allowed & here:
                return False
        return True

    def expired(self, today: datetime.date) -> bool:
        """Whether `expires` is in the past: on the day itself the entry still counts."""
        return self.expires is not None and today > self.expires

    @cached_property
    def patterns(self) -> dict[str, re.Pattern[str]]:
        """A compiled pattern for each of `cases`."""
        return {case: glob(case) for case in self.cases}

    def names(self, case: str) -> bool:
        """Whether the entry is about the case."""
        return any(pattern.fullmatch(case) for pattern in self.patterns.values())

    def text(self) -> str:
        """The reason, the link and where it says so: `... (https://...) [runc.toml:12]`."""
        return f"{self.reason}{f' ({self.link})' if self.link else ''} [{self.where}]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the entries make of an outcome.  `excused`: it was expected.  `entry` is the one that decided, `note` what a
    reader of the failure should know."""

    excused: bool
    entry: Expectation | None = None
    note: str = ""


class Expectations:
    """The entries that apply to one run; `today` decides which have expired."""

    def __init__(self, entries: Iterable[Expectation], facts: Facts, today: datetime.date | None = None) -> None:
        self.today = today or datetime.date.today()
        self.entries = [entry for entry in entries if entry.applies(facts)]

    def about(self, case: str) -> list[Expectation]:
        """The entries about a case: those that name it before those that match it, then in the order of the files."""
        found = [entry for entry in self.entries if entry.names(case)]
        return sorted(found, key=lambda entry: case not in entry.cases)

    def judge(self, case: str, kind: str) -> Verdict:
        """What to make of a case that ended as `kind`: failed, crashed, timeout or skipped.

        A failure is excused by an entry of its kind, or of kind flaky; a crash or a timeout is never taken for a plain
        failure.
        """
        entries = self.about(case)
        current = [entry for entry in entries if not entry.expired(self.today)]
        for entry in current:
            if entry.outcome == kind or (entry.outcome == FLAKY and kind == FAILED):
                return Verdict(True, entry)
        if kind == SKIPPED:
            return Verdict(False)
        others = [entry for entry in current if entry.outcome in STRICT]
        if others:
            return Verdict(False, None, f"expected is another end, {others[0].outcome}: {others[0].text()}")
        late = [entry for entry in entries if entry.expired(self.today) and entry.outcome != SKIPPED]
        if late:
            return Verdict(False, None, f"the expectation expired on {late[0].expires}: {late[0].text()}")
        return Verdict(False)

    def unexpected_pass(self, case: str) -> Expectation | None:
        """The entry that a case breaks by passing: the first about it, unless that one is for flakes."""
        for entry in self.about(case):
            if entry.outcome != SKIPPED and not entry.expired(self.today):
                return entry if entry.outcome in STRICT else None
        return None


def glob(pattern: str) -> re.Pattern[str]:
    """`*` is any text, `?` one character; everything else, brackets too, is itself (ids of cases have brackets)."""
    return re.compile("".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def stale(entries: Iterable[Expectation], cases: Sequence[str]) -> list[str]:
    """A message for each pattern that matches none of `cases`, which are all there are."""
    found = []
    for entry in entries:
        for case, pattern in entry.patterns.items():
            if case not in cases and not any(pattern.fullmatch(name) for name in cases):
                found.append(f"{entry.where}: no case matches {case!r}{_nearest(case, cases)}")
    return found


def _nearest(case: str, cases: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(case, cases, 1, 0.8)
    return f" (did you mean {close[0]!r}?)" if close else ""


# -- reading -----------------------------------------------------------------------------------------------------------


def shipped() -> list[str]:
    """Names of the files that come with the harness: `runc-1.1` ..."""
    names = os.listdir(SHIPPED) if os.path.isdir(SHIPPED) else []
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def find(name: str) -> str:
    """The path of a file, or of the shipped file of that name."""
    if not os.path.exists(name) and name in shipped():
        return os.path.join(SHIPPED, name + ".toml")
    return name


def load(names: Iterable[str]) -> list[Expectation]:
    """The entries of files, each a path or the name of a shipped file; EnvironmentProblem says what is wrong where."""
    return [entry for source, text in texts(names) for entry in parse(text, source)]


def texts(names: Iterable[str]) -> list[tuple[str, str]]:
    """(name, text) of files, each a path or the name of a shipped file; EnvironmentProblem when one cannot be read."""
    found: list[tuple[str, str]] = []
    for name in names:
        path = find(name)
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = "" if os.sep in name else f"; shipped files: {', '.join(shipped()) or 'none'}"
            raise EnvironmentProblem(f"cannot read the expectations {name}: {reason}{hint}") from error
        found.append((os.path.basename(path), text))
    return found


def parse(text: str, source: str) -> list[Expectation]:
    """The entries of one file's text; EnvironmentProblem says which member of which entry, and its line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentProblem(f"{source}: {error}") from error
    unknown = sorted(set(document) - {"expect"})
    if unknown:
        raise EnvironmentProblem(f"{source}: {unknown[0]}: unknown; entries are [[expect]] tables")
    entries = document.get("expect", [])
    if not isinstance(entries, list):
        raise EnvironmentProblem(f"{source}: expect: a list of tables is expected, [[expect]]")
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines, 1) if HEADER.match(line)]
    if len(headers) != len(entries):
        headers = []  # written as an inline list: no lines to tell
    found = []
    for number, entry in enumerate(entries):
        line = headers[number] if headers else None
        where = f"{source}:{line}" if line else source
        try:
            found.append(_entry(entry, where))
        except _WrongError as error:
            end = headers[number + 1] - 1 if headers and number + 1 < len(headers) else len(lines)
            line = _line_of(lines, line, end, error.member) if line else None
            place = f"{source}:{line}" if line else source
            raise EnvironmentProblem(
                f"{place}: expect[{number}]{'.' if error.member else ''}{error.member}: {error}"
            ) from error
    return found


class _WrongError(Exception):
    def __init__(self, member: str, text: str) -> None:
        super().__init__(text)
        self.member = member


def _line_of(lines: list[str], start: int, end: int, member: str) -> int:
    key = re.compile(rf"\s*{re.escape(member.partition('.')[0].partition('[')[0])}\s*[.=]")
    return next((number for number in range(start + 1, end + 1) if key.match(lines[number - 1])), start)


def _entry(entry: Any, where: str) -> Expectation:
    if not isinstance(entry, dict):
        raise _WrongError("", f"a table is expected, not {entry!r}")
    known = {"case", "reason", "outcome", "runtime", "condition", "link", "expires", "recorded"}
    for member in entry:
        if member not in known:
            raise _WrongError(member, f"unknown; known are {', '.join(sorted(known))}")
    for member in ("reason", "runtime", "link", "recorded"):
        if member in entry and not (isinstance(entry[member], str) and entry[member].strip()):
            raise _WrongError(member, f"a text is expected, not {entry[member]!r}")
    if "reason" not in entry:
        raise _WrongError("reason", "required: why is this failure acceptable?")
    outcome = entry.get("outcome", FAILED)
    if outcome not in OUTCOMES:
        raise _WrongError("outcome", f"{outcome!r}: expected one of {', '.join(OUTCOMES)}")
    runtime = entry.get("runtime")
    if runtime is not None:
        _versions("runtime", runtime.partition(" ")[2])
    expires = entry.get("expires")
    if expires is not None and (not isinstance(expires, datetime.date) or isinstance(expires, datetime.datetime)):
        try:
            expires = datetime.date.fromisoformat(str(expires))
        except (TypeError, ValueError):
            raise _WrongError("expires", f"{expires!r}: a date is expected, as 2027-06-30") from None
    condition = _condition(entry.get("condition", {}))
    cases = _cases(entry)
    return Expectation(cases, entry["reason"].strip(), outcome, runtime, condition, entry.get("link"), expires, where)


def _cases(entry: dict[str, Any]) -> tuple[str, ...]:
    if "case" not in entry:
        raise _WrongError("case", "required: the id of a case, or a glob")
    value = entry["case"]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise _WrongError("case", "the list is empty")
    for number, one in enumerate(values):
        if not isinstance(one, str) or not one.strip():
            member = f"case[{number}]" if isinstance(value, list) else "case"
            raise _WrongError(member, f"a text is expected, not {one!r}")
    return tuple(values)


def _condition(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError("condition", f"a table is expected, not {value!r}")
    for member, wanted in value.items():
        name = f"condition.{member}"
        if member == "kernel":
            if not isinstance(wanted, str):
                raise _WrongError(name, f'{wanted!r}: a text is expected, such as ">=5.12 <6.3"')
            _versions(name, wanted)
            continue
        if member not in CHOICES:
            raise _WrongError(name, f"unknown; known are {', '.join(sorted([*CHOICES, 'kernel']))}")
        for word in wanted if isinstance(wanted, list) and wanted else [wanted]:
            choices = CHOICES[member]
            if not isinstance(word, str) or (choices is not None and word not in choices):
                raise _WrongError(name, f"{word!r}: expected {'one of ' + ', '.join(choices) if choices else 'a word'}")
    return value


def _versions(member: str, text: str) -> None:
    try:
        versions.matches(text, "1")
    except ValueError as error:
        raise _WrongError(member, str(error)) from None
