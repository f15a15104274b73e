"""The results file: JSON lines, a stamp first, then one line per case.  Everything else is a view of it."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.ledger import ledger
from seatrial.conformance.verdict import outcome

FORMAT = 1


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One result line.  `seconds` is the case's duration, `runtime_seconds` the part of it spent inside the runtime
    under test; `evidence` is a directory or None; `failure` is `crashed` or `timeout`, None for a plain failure;
    `expected` is what an expectation file says about the outcome, when it excuses it or is broken by it."""

    case: str
    requirements: tuple[str, ...]
    outcome: str
    profile: str
    reason: str
    seconds: float
    runtime_seconds: float
    evidence: str | None
    failure: str | None = None
    expected: str | None = None

    def line(self) -> str:
        """The line of the results file."""
        return json.dumps({"kind": "result", **asdict(self)})


@dataclass(slots=True)
class Run:
    """One runtime's run: its stamp and its results.  `source` is the file that they were read from; `cut` says that it
    ends in the middle of a line."""

    stamp: dict[str, Any]
    results: list[CaseResult] = field(default_factory=list)
    planned: int = 0
    end: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    cut: bool = False

    @property
    def name(self) -> str:
        """How people call the runtime: the first line of its version text, or its path."""
        runtime = self.stamp.get("runtime", {})
        return str(runtime.get("name") or runtime.get("path") or "unknown runtime")

    @property
    def seconds(self) -> float:
        """How long the run took, in seconds; 0 for one that did not come to its end."""
        return float(self.end.get("seconds", 0.0))

    @property
    def workers(self) -> int:
        """How many processes shared the cases."""
        return int(self.end.get("workers", 1))

    def share_inside(self) -> float | None:
        """The part of the workers' time that was spent inside the runtime under test (0 to 1); None without a time."""
        inside = sum(result.runtime_seconds for result in self.results)
        return inside / (self.seconds * self.workers) if self.seconds else None

    def verdicts(self) -> dict[str, str]:
        """The verdict of every requirement in the ledger, in ledger order."""
        outcomes: dict[str, list[str]] = {name: [] for name in ledger.load()}
        for result in self.results:
            for name in result.requirements:
                if name in outcomes:
                    outcomes[name].append(result.outcome)
        return {name: outcome.requirement_verdict(found) for name, found in outcomes.items()}

    @property
    def executed(self) -> int:
        """Cases that ran to a verdict."""
        return sum(result.outcome in outcome.EXECUTED for result in self.results)

    @property
    def missing(self) -> int:
        """Planned cases without a result; 0 where the plan is not known.  Lines about the run as a
        whole or about a module that cannot be collected are no cases: they have no `::`."""
        return max(0, self.planned - sum("::" in result.case for result in self.results))

    def exit_status(self, *, fail_on_skip: bool = False, excused: Container[str] = ()) -> int:
        """The exit status that this run asks for.

        A skip that an expectation file excuses is no finding; `excused` are cases whose findings have just become
        expectations.
        """
        expected = outcome.EXPECTED_FAILURE
        status = outcome.exit_status(
            expected if result.case in excused and result.outcome in outcome.FINDINGS else result.outcome
            for result in self.results
        )
        unexcused = any(result.outcome == outcome.SKIPPED and not result.expected for result in self.results)
        return outcome.FOUND if status == outcome.CLEAN and fail_on_skip and unexcused else status


def fact(stamp: dict[str, Any], *path: str, default: str = "unknown") -> str:
    """A member of a stamp as text; `default` where it is missing or null."""
    value: Any = stamp
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or default
    return default if value is None else str(value)


def read(lines: Iterable[str], source: str = "results", into: Run | None = None) -> list[Run]:
    """The runs in a results file, which may hold several: each stamp starts one.

    `into` is the run that the first lines continue.  EnvironmentProblem when a line is not ours.
    """
    runs: list[Run] = [into] if into is not None else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            kind = entry.pop("kind")
            if kind == "stamp":
                runs.append(Run(entry, source=source))
            elif kind == "plan":
                runs[-1].planned = int(entry["cases"])
            elif kind == "end":
                runs[-1].end = entry
            elif kind == "result":
                runs[-1].results.append(result(entry))
            elif kind == "start":
                _text(entry["case"])
            else:
                raise ValueError(f"unknown kind {kind!r}")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise EnvironmentProblem(f"{source}:{number}: not a seatrial results line: {error}") from error
    return runs


def result(entry: dict[str, Any]) -> CaseResult:
    """A result line's object without the members that a later release may have added; ValueError, TypeError or KeyError
    when one of ours is missing or of another type."""
    evidence = entry["evidence"]  # unlike the last two, always there
    made = CaseResult(
        case=_text(entry["case"]),
        requirements=tuple(_text(name) for name in entry["requirements"]),
        outcome=outcome.OUTCOMES[outcome.OUTCOMES.index(entry["outcome"])],
        profile=_text(entry["profile"]),
        reason=_text(entry["reason"]),
        seconds=float(entry["seconds"]),
        runtime_seconds=float(entry["runtime_seconds"]),
        evidence=None if evidence is None else _text(evidence),
        failure=_optional(entry, "failure"),
        expected=_optional(entry, "expected"),
    )
    if not (0 <= made.seconds < float("inf") and 0 <= made.runtime_seconds < float("inf")):
        raise ValueError("seconds must be finite and not negative")
    return made


def _optional(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return None if value is None else _text(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {value!r}")
    return value


def read_file(path: str) -> list[Run]:
    """The runs in the results file at `path`; EnvironmentProblem when it cannot be read.

    A last line without its newline that is no JSON was cut off (a full disk, a killed run): it marks its run as cut.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EnvironmentProblem(f"{path}: not a seatrial results file: {error}") from error
    cut = len(lines) > 1 and not lines[-1].endswith("\n") and not _is_json(lines[-1])
    runs = read(lines[:-1] if cut else lines, path)
    if cut and runs:
        runs[-1].cut = True
    return runs


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
