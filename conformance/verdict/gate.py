"""Holds each case, as it ends, against the expectations, and tells pytest: xfailed, or failed for a strict pass."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.conformance.verdict import expect, outcome
from seatrial.conformance.verdict.expect import Expectations


class Gate:
    """For the process that runs the cases.  A case has three reports (setup, call, teardown); that it passed is known
    at the last one only, for what it leaves behind counts too."""

    def __init__(self, expectations: Expectations) -> None:
        self.expectations = expectations
        self._not_passed: set[str] = set()

    def weigh(self, case: str, report: pytest.TestReport, payload: dict[str, Any]) -> None:
        """Change a payload of the recorder, and the report, as the expectations say."""
        found = payload["outcome"]
        if found != outcome.PASSED:
            self._not_passed.add(report.nodeid)
        if found in (outcome.FAILED, outcome.SKIPPED):
            kind = expect.SKIPPED if found == outcome.SKIPPED else payload["failure"] or expect.FAILED
            verdict = self.expectations.judge(case, kind)
            if verdict.entry is not None:
                payload["expected"] = verdict.entry.text()
                payload["tolerated"] = verdict.entry.outcome == expect.FLAKY
                if found == outcome.FAILED:
                    payload["outcome"] = outcome.EXPECTED_FAILURE
                    report.outcome = "skipped"
                    report.wasxfail = verdict.entry.text()
            elif verdict.note:
                payload["reason"] += "\n" + verdict.note
        if report.when == "teardown":
            if report.nodeid not in self._not_passed:
                self._check_pass(case, report, payload)
            self._not_passed.discard(report.nodeid)

    def _check_pass(self, case: str, report: pytest.TestReport, payload: dict[str, Any]) -> None:
        entry = self.expectations.unexpected_pass(case)
        if entry is None:
            return
        payload["outcome"] = outcome.UNEXPECTED_PASS
        payload["expected"] = entry.text()
        payload["reason"] = f"passed, although it was expected to fail: {entry.text()}"
        report.outcome = "failed"
        report.longrepr = f"[XPASS(strict)] {entry.text()}"  # as pytest says it
