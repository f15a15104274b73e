"""Outcomes of a case, verdicts of a requirement, and the exit status that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

PASSED = "passed"
FAILED = "failed"
EXPECTED_FAILURE = "expected-failure"
UNEXPECTED_PASS = "unexpected-pass"
SKIPPED = "skipped"
FLAKY = "flaky"
ENVIRONMENT_ERROR = "environment-error"
HARNESS_BUG = "harness-bug"

# In order of weight: of the phases of one case (setup, call, teardown) the heaviest counts.
OUTCOMES = (
    PASSED,
    SKIPPED,
    EXPECTED_FAILURE,
    FLAKY,
    UNEXPECTED_PASS,
    FAILED,
    ENVIRONMENT_ERROR,
    HARNESS_BUG,
)
EXECUTED = frozenset({PASSED, FAILED, EXPECTED_FAILURE, UNEXPECTED_PASS, FLAKY})
FINDINGS = frozenset({FAILED, UNEXPECTED_PASS, FLAKY})
TROUBLE = frozenset({ENVIRONMENT_ERROR, HARNESS_BUG})  # no verdict on the runtime

CLEAN, FOUND, ENVIRONMENT, BUG = 0, 1, 2, 3  # exit statuses

VERIFIED, VIOLATED, UNTESTED, NOT_APPLICABLE = "verified", "violated", "untested", "not applicable"
VERDICTS = (VERIFIED, VIOLATED, NOT_APPLICABLE, UNTESTED)


def heaviest(outcomes: Iterable[str]) -> str:
    """The outcome that counts among those of a case's phases."""
    return max(outcomes, key=OUTCOMES.index)


def exit_status(outcomes: Iterable[str]) -> int:
    """0 clean, 1 findings, 2 environment (also: nothing was executed), 3 bug; the worst that happened."""
    counts = Counter(outcomes)
    if counts[HARNESS_BUG]:
        return BUG
    if counts[ENVIRONMENT_ERROR]:
        return ENVIRONMENT
    if any(counts[name] for name in FINDINGS):
        return FOUND
    if not any(counts[name] for name in EXECUTED):
        return ENVIRONMENT  # green must mean that something ran
    return CLEAN


def requirement_verdict(outcomes: Iterable[str]) -> str:
    """What the cases that cover one requirement say together: violated if one failed (expected or not), verified if one
    passed and none failed, not applicable if all were skipped, untested if none gave an answer."""
    found = set(outcomes)
    if found & {FAILED, EXPECTED_FAILURE, FLAKY}:
        return VIOLATED
    if found & {PASSED, UNEXPECTED_PASS}:
        return VERIFIED
    return NOT_APPLICABLE if SKIPPED in found else UNTESTED
