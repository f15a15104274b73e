"""`--repeat N`: each case N times as parameters of pytest, one result line of it, `flaky` when they disagree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult

FIXTURE = "seatrial_repetition"
PARAMETER = re.compile(r"\[repeat\d+of\d+\]|(?<=\[)repeat\d+of\d+-|-repeat\d+of\d+(?=[-\]])")
GOOD = frozenset({outcome.PASSED, outcome.UNEXPECTED_PASS})
BAD = frozenset({outcome.FAILED, outcome.EXPECTED_FAILURE})


def parameters(times: int) -> list[str]:
    """The parameter of each repetition, as it stands in pytest's node id."""
    return [f"repeat{number}of{times}" for number in range(1, times + 1)]


def without(nodeid: str) -> str:
    """A node id, or the name of a case, without the parameter of the repetition."""
    return PARAMETER.sub("", nodeid)


def merge(results: Sequence[CaseResult], tolerated: bool = False) -> CaseResult:
    """One result for all repetitions of a case.

    Passes among failures make it flaky, with the counts in the reason; it is never a pass.  `tolerated`: an
    expectation of outcome `flaky` covers the failures, which then are an expected one.
    """
    if len(results) == 1:
        return results[0]
    found = {result.outcome for result in results}
    heaviest = outcome.heaviest(found)
    chosen = next(result for result in results if result.outcome == heaviest)
    if found & GOOD and found & BAD and found <= GOOD | BAD:
        failures = [result for result in results if result.outcome in BAD]
        heaviest = outcome.EXPECTED_FAILURE if tolerated and outcome.FAILED not in found else outcome.FLAKY
        chosen = failures[0]
        chosen = replace(chosen, reason=f"{len(failures)} of {len(results)} repetitions failed: {chosen.reason}")
    return replace(
        chosen,
        outcome=heaviest,
        seconds=round(sum(result.seconds for result in results), 6),
        runtime_seconds=round(sum(result.runtime_seconds for result in results), 6),
        evidence=next((result.evidence for result in results if result.evidence), None),
    )
