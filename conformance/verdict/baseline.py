"""`--write-expect FILE`: the failures of a run become the entries of an expectation file.

A file that exists is brought up to date, entry by entry, as text: comments, reasons and links that people wrote stay.
From the entries that apply to the run, cases that pass now are removed; what fails and has no entry gets one.  Entries
for other runtimes, other conditions, skips and flakes, and those that have expired, are left as they are.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import expect, outcome
from seatrial.conformance.verdict.expect import STRICT, Expectation, Expectations, Facts
from seatrial.conformance.verdict.results import CaseResult, Run
from seatrial.conformance.verdict.summary import first_line

FAILING = (outcome.FAILED, outcome.EXPECTED_FAILURE)
GOOD = (outcome.PASSED, outcome.UNEXPECTED_PASS)
HEAD = "# Known failures, as `seatrial check --write-expect` records them; see docs/gating.md.\n"


@dataclass(slots=True)
class Changes:
    """What an update did to the file: cases with a new entry, cases and globs that went, cases that an entry knew
    already, entries that expired."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)

    @property
    def excused(self) -> frozenset[str]:
        """Cases whose outcome is no news any more: the file expects the failure, or no longer does."""
        return frozenset((*self.added, *self.known, *self.removed))


def write(path: str, run: Run, cases: Sequence[str]) -> Changes:
    """Bring the file at `path` up to date with a run.  `cases` are the ids of all that there are.

    EnvironmentProblem when the file cannot be read or written.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        text = HEAD
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"cannot read {path}: {error}") from error
    changes = Changes()
    text = update(text, run, cases, changes, os.path.basename(path))
    try:
        _replace(path, text)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error
    return changes


def _replace(path: str, text: str) -> None:
    """Write beside the file and rename: an interrupted run leaves the old one."""
    target = os.path.realpath(path)
    mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o644
    number, beside = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".expect-")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(beside, mode)
        os.rename(beside, target)
    except BaseException:
        os.unlink(beside)
        raise


def update(text: str, run: Run, cases: Sequence[str], changes: Changes, source: str = "expectations") -> str:
    """The text of the file after one run."""
    facts = Facts.of(run.stamp)
    today = datetime.date.today()
    head, blocks = split(text, source)
    entries = expect.parse(text, source)
    results = {result.case: result for result in run.results}
    kept: list[str] = []
    for block, entry in zip(blocks, entries, strict=True):
        if entry.outcome not in STRICT or not entry.applies(facts):
            kept.append(block)
        elif entry.expired(today):
            kept.append(block)
            changes.expired.append(entry.text())
        else:
            left = _still(entry, results, cases, changes)
            if left == list(entry.cases):
                kept.append(block)
            elif left:
                kept.append(_with_cases(block, left))
    text = head + "".join(kept)
    known = Expectations(expect.parse(text, source), facts, today)
    groups: dict[tuple[str, str], list[str]] = {}
    for result in sorted(run.results, key=lambda result: result.case):
        if result.outcome not in FAILING or result.case not in cases:
            continue
        kind = result.failure or expect.FAILED
        if known.judge(result.case, kind).excused:
            changes.known.append(result.case)
            continue
        if any(entry.expired(today) for entry in known.about(result.case)):
            continue  # a date is a promise: people move it, or mend the runtime
        groups.setdefault((_reason(result), kind), []).append(result.case)
        changes.added.append(result.case)
    for (reason, kind), names in groups.items():
        text = text.rstrip("\n") + "\n\n" + _render(names, reason, kind, facts, run)
    expect.parse(text, source)  # what we wrote, we can read
    return text


def split(text: str, source: str) -> tuple[str, list[str]]:
    """What is before the first entry, and the text of each entry with the comment lines right above it.

    EnvironmentProblem when the entries are not written as [[expect]] tables, one after the other.
    """
    lines = text.splitlines(keepends=True)
    starts = []
    for number, line in enumerate(lines):
        if expect.HEADER.match(line):
            start = number
            while start > 0 and lines[start - 1].startswith("#"):
                start -= 1
            starts.append(start)
    ends = [*starts[1:], len(lines)]
    blocks = ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=False)]
    head = "".join(lines[: starts[0]]) if starts else text
    try:
        whole = [tomllib.loads(block)["expect"] for block in blocks]
        same = [entry for part in whole for entry in part] == tomllib.loads(text).get("expect", [])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise EnvironmentProblem(f"{source}: cannot be updated: {error}") from error
    if not same or any(len(part) != 1 for part in whole):
        raise EnvironmentProblem(f"{source}: cannot be updated: its entries must be [[expect]] tables")
    return head, blocks


def _still(entry: Expectation, results: dict[str, CaseResult], cases: Sequence[str], changes: Changes) -> list[str]:
    """The entry's cases and globs without what no longer fails in its way, and without what is no case any more.

    A glob of which only a part still fails becomes the ids of that part.  Cases that did not run stay.
    """
    left = []
    for name in entry.cases:
        pattern = entry.patterns[name]
        named = [name] if name in cases else [case for case in cases if pattern.fullmatch(case)]
        gone = [case for case in named if case in results and not _fails_as(results[case], entry.outcome)]
        changes.removed += gone or ([] if named else [name])
        if named and not gone:
            left.append(name)
        else:
            left += [case for case in named if case not in gone]
    return left


def _fails_as(result: CaseResult, kind: str) -> bool:
    """Whether the entry of that outcome is still needed: the case fails so, or did not come to a verdict."""
    if result.outcome in FAILING:
        return (result.failure or expect.FAILED) == kind
    return result.outcome not in GOOD


def _with_cases(block: str, cases: Sequence[str]) -> str:
    """The block with another value of `case`; it may have gone over several lines."""
    lines = block.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if re.match(r"\s*case\s*=", line))
    end = start + 1
    while not _complete("".join(lines[start:end])):
        end += 1
    return "".join([*lines[:start], _case_line(cases), *lines[end:]])


def _complete(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _reason(result: CaseResult) -> str:
    return first_line(result.reason, 300) or "no reason given"


def _case_line(cases: Sequence[str]) -> str:
    if len(cases) == 1:
        return f"case = {_quote(cases[0])}\n"
    return "case = [\n" + "".join(f"    {_quote(case)},\n" for case in cases) + "]\n"


def _render(cases: Sequence[str], reason: str, kind: str, facts: Facts, run: Run) -> str:
    condition = {"cgroup": facts.cgroup, "privilege": facts.privilege}
    parts = [f"{name} = {_quote(value)}" for name, value in condition.items()]
    if facts.mask:
        parts.append(f"mask = [{', '.join(_quote(name) for name in facts.mask)}]")
    recorded = f"{run.stamp.get('started', '')[:10]}, {run.name}, kernel {run.stamp['host']['kernel']}"
    lines = ["[[expect]]\n", _case_line(cases), f"runtime = {_quote(facts.runtime[0])}\n"]
    lines.append(f"condition = {{ {', '.join(parts)} }}\n")
    if kind != expect.FAILED:
        lines.append(f"outcome = {_quote(kind)}\n")
    lines += [f"reason = {_quote(reason)}\n", f"recorded = {_quote(recorded)}\n"]
    return "".join(lines)


def _quote(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among TOML's, if surrogates and DEL are kept out."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
