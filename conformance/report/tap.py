"""TAP, the Test Anything Protocol.

Version 13: the newest that all consumers read (Perl's TAP::Parser refuses 14), with the same YAML blocks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seatrial.conformance.report.text import one_line, visible
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import Run

OK = (outcome.PASSED, outcome.SKIPPED)


def tap(runs: Sequence[Run]) -> str:
    """TAP version 13: expected failures are TODO, skipped cases SKIP."""
    results = [(run, result) for run in runs for result in run.results]
    lines = ["TAP version 13", f"1..{len(results)}" if results else "1..0 # SKIP no case was run"]
    previous: Run | None = None
    for number, (run, result) in enumerate(results, 1):
        if run is not previous:
            lines.append(f"# {_plain(run.name)}")
            previous = run
        good = result.outcome in OK
        line = f"{'ok' if good else 'not ok'} {number} - {_plain(result.case)}"
        if result.outcome == outcome.SKIPPED:
            line += f" # SKIP {_plain(summary.first_line(result.reason))}"
        elif result.outcome == outcome.EXPECTED_FAILURE:
            line += f" # TODO {_plain(summary.first_line(result.reason))}"
        lines.append(line.rstrip())
        if not good:
            lines += ["  ---", f"  outcome: {result.outcome}"]
            lines.append(f"  requirements: {_yaml(list(result.requirements))}")
            lines += [f"  reason: {_yaml(result.reason)}", f"  evidence: {_yaml(result.evidence)}", "  ..."]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """`\\#` would be right, but not every parser knows that it begins no directive."""
    return one_line(text).replace("\\", "\\\\").replace("#", "\\x23")


def _yaml(value: str | list[str] | None) -> str:
    """JSON is YAML where no string has escapes of surrogates."""
    if isinstance(value, str):
        value = visible(value)
    elif value is not None:
        value = [visible(item) for item in value]
    return json.dumps(value, ensure_ascii=False)
