"""Runs side by side: one column for each runtime in each environment, whatever files its results are in.

Runs of the same binary (by digest) in the same environment are parts of one column: shards, or repetitions.  A case
that several parts have counts once: by what executed rather than by what was skipped or kept from a verdict, by the
newest of those that agree, and as flaky where they disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seatrial.conformance.ledger import ledger
from seatrial.conformance.report.evidence import located
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult, Run, fact

GOOD = frozenset({outcome.PASSED, outcome.UNEXPECTED_PASS})


@dataclass(frozen=True, slots=True)
class Environment:
    """What a verdict depends on besides the runtime.  `spec` is the release whose requirements were tested."""

    profile: str
    cgroup: str
    privilege: str
    kernel: str
    masks: str
    accelerator: str
    spec: str

    def facts(self) -> list[tuple[str, str]]:
        """(name, value) in the order in which reports show them."""
        names = ("profile", "cgroup view", "privilege", "kernel", "masks", "accelerator", "runtime-spec")
        values = (self.profile, self.cgroup, self.privilege, self.kernel, self.masks, self.accelerator, self.spec)
        return list(zip(names, values, strict=True))


@dataclass(slots=True)
class Column:
    """`run` is the merger of `parts`; `notes` say what a reader of its verdicts must know."""

    run: Run
    parts: list[Run]
    environment: Environment
    notes: list[str] = field(default_factory=list)


def environment(stamp: dict[str, Any]) -> Environment:
    """The environment that a stamp tells."""
    return Environment(
        fact(stamp, "profile"),
        fact(stamp, "cgroup", "view"),
        fact(stamp, "privilege"),
        fact(stamp, "host", "kernel"),
        fact(stamp, "masks", default="none"),
        fact(stamp, "accelerator", default="none"),
        fact(stamp, "spec"),
    )


def columns(runs: Sequence[Run]) -> list[Column]:
    """The columns, in the order in which their first runs come."""
    groups: dict[tuple[str, Environment], list[Run]] = {}
    for run in runs:
        runtime = fact(run.stamp, "runtime", "digest", default=run.name)
        groups.setdefault((runtime, environment(run.stamp)), []).append(located(run))
    return [_column(parts, key[1]) for key, parts in groups.items()]


def _column(parts: list[Run], where: Environment) -> Column:
    # Oldest first, so that the newest counts.
    ordered = sorted(parts, key=lambda run: fact(run.stamp, "started", default=""))
    notes = [] if len(parts) == 1 else _merger_notes(ordered)
    results, told = _merge_results(ordered)
    notes += told
    if where.spec != ledger.SPEC_VERSION:
        notes.append(
            f"tested against runtime-spec {where.spec}; this report has the requirements of {ledger.SPEC_VERSION}"
        )
    for run in ordered:
        notes += incomplete(run)
    foreign = sorted({name for result in results for name in result.requirements} - set(ledger.load()))
    if foreign:
        notes.append(f"{len(foreign)} requirements that this ledger does not have, such as {foreign[0]}")
    bugs = Counter(result.outcome for result in results)
    for name in (outcome.HARNESS_BUG, outcome.ENVIRONMENT_ERROR):
        if bugs[name]:
            notes.append(f"{bugs[name]} cases without a verdict: {name}")
    if len(parts) == 1:
        return Column(parts[0], parts, where, notes)
    seconds = sum(float(run.end.get("seconds", 0.0)) for run in ordered)
    complete = all(run.end for run in ordered) and not any(run.cut for run in ordered)
    planned = max(len(results), max(run.planned for run in ordered))
    merged = Run(ordered[-1].stamp, results, planned, {"seconds": round(seconds, 3)} if complete else {})
    return Column(merged, ordered, where, notes)


def incomplete(run: Run) -> list[str]:
    """What is missing of a run: nothing, or one sentence."""
    source = f"{run.source}: " if run.source else ""
    missing = run.planned - len(run.results)
    of = f", {missing} of {run.planned} planned cases are missing" if missing > 0 else ""
    if run.cut:
        return [f"{source}the file ends in the middle of a line after {len(run.results)} results{of}"]
    if not run.end:
        return [f"{source}the run was interrupted after {len(run.results)} results (no end line){of}"]
    if missing > 0:
        return [f"{source}{missing} of {run.planned} planned cases have no result"]
    return []


def _merger_notes(parts: Iterable[Run]) -> list[str]:
    parts = list(parts)
    sources = list(dict.fromkeys(run.source for run in parts if run.source))
    notes = [f"{len(parts)} runs in one column" + (f": {', '.join(sources)}" if sources else "")]
    for name, *path in (
        ("versions of seatrial", "seatrial"),
        ("hosts' distributions", "host", "distribution"),
        ("hosts' capabilities", "host", "capabilities"),
        ("hosts' security modules", "host", "lsm"),
        ("cgroup controllers", "cgroup", "controllers"),
    ):
        values = list(dict.fromkeys(fact(run.stamp, *path) for run in parts))
        if len(values) > 1:
            notes.append(f"different {name} among them: {' | '.join(values)}")
    return notes


def _merge_results(parts: list[Run]) -> tuple[list[CaseResult], list[str]]:
    found: dict[str, list[CaseResult]] = {}
    for run in parts:
        for result in run.results:
            found.setdefault(result.case, []).append(result)
    repeated = sum(1 for several in found.values() if len(several) > 1)
    results = [merge(several) for several in found.values()]
    if not repeated:
        return results, []
    unstable = sum(1 for several, one in zip(found.values(), results, strict=True) if _disagree(several, one))
    return results, [
        f"{repeated} cases have several results: the newest counts"
        + (f"; {unstable} disagree and count as flaky" if unstable else "")
    ]


def _disagree(several: list[CaseResult], merged: CaseResult) -> bool:
    return merged.outcome == outcome.FLAKY and any(one.outcome != outcome.FLAKY for one in several)


def merge(several: Sequence[CaseResult]) -> CaseResult:
    """One result of the results of one case, oldest first."""
    executed = [result for result in several if result.outcome in outcome.EXECUTED]
    if not executed:
        return several[-1]
    good = [result for result in executed if result.outcome in GOOD]
    bad = [result for result in executed if result.outcome not in GOOD]
    if not (good and bad):
        return executed[-1]
    last = bad[-1]
    reason = f"passed in {len(good)} of {len(executed)} runs; otherwise: {last.reason}"
    return replace(last, outcome=outcome.FLAKY, reason=reason)
