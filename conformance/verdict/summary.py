"""What a run comes to, per section of the spec and per requirement: the numbers behind the terminal and every
report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from seatrial.conformance.ledger import ledger
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult, Run


@dataclass(slots=True)
class Section:
    """One section of the spec: how many of its requirements have which verdict."""

    name: str
    verdicts: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Requirements in the section."""
        return self.verdicts.total()

    @property
    def score(self) -> float | None:
        """Verified, of those with a verdict (verified or violated), as a fraction; None when there is none."""
        judged = self.verdicts[outcome.VERIFIED] + self.verdicts[outcome.VIOLATED]
        return self.verdicts[outcome.VERIFIED] / judged if judged else None


@dataclass(frozen=True, slots=True)
class RequirementRow:
    """A requirement with its verdict and the results that led to it."""

    requirement: ledger.Requirement
    verdict: str
    results: tuple[CaseResult, ...]

    @property
    def reason(self) -> str:
        """Why there is no verdict, or what failed, in one line."""
        if self.verdict == outcome.UNTESTED:
            unsettled = [result for result in self.results if result.outcome not in outcome.EXECUTED]
            return first_line(unsettled[0].reason) if unsettled else "no case covers it"
        if self.verdict == outcome.NOT_APPLICABLE:
            return "; ".join(dict.fromkeys(first_line(result.reason) for result in self.results))
        bad = [result for result in self.results if result.outcome not in (outcome.PASSED, outcome.SKIPPED)]
        return first_line(bad[0].reason) if bad else ""


def sections(run: Run) -> list[Section]:
    """The sections in ledger order."""
    verdicts = run.verdicts()
    found: dict[str, Section] = {}
    for requirement in ledger.load().values():
        section = found.setdefault(requirement.chapter, Section(requirement.chapter))
        section.verdicts[verdicts[requirement.id]] += 1
    return list(found.values())


def rows(run: Run) -> list[RequirementRow]:
    """Every requirement of the ledger, in ledger order."""
    by_id: dict[str, list[CaseResult]] = {}
    for result in run.results:
        for name in result.requirements:
            by_id.setdefault(name, []).append(result)
    verdicts = run.verdicts()
    return [
        RequirementRow(requirement, verdicts[name], tuple(by_id.get(name, ())))
        for name, requirement in ledger.load().items()
    ]


def totals(run: Run) -> Counter[str]:
    """Requirements per verdict."""
    return Counter(run.verdicts().values())


def outcomes(run: Run) -> Counter[str]:
    """Cases per outcome."""
    return Counter(result.outcome for result in run.results)


def failures(run: Run) -> list[CaseResult]:
    """Results that somebody should look at, in order of weight and name."""
    wanted = {outcome.FAILED, outcome.UNEXPECTED_PASS, outcome.FLAKY, outcome.ENVIRONMENT_ERROR, outcome.HARNESS_BUG}
    bad = [result for result in run.results if result.outcome in wanted]
    return sorted(bad, key=lambda result: (-outcome.OUTCOMES.index(result.outcome), result.case))


def first_line(text: str, limit: int = 160) -> str:
    """The first line of a reason, shortened."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= limit else line[: limit - 3] + "..."


def counts_line(counts: Counter[str], order: tuple[str, ...]) -> str:
    """`12 passed, 1 failed`: what is not zero, in that order."""
    return ", ".join(f"{counts[name]} {name}" for name in order if counts[name]) or "none"
