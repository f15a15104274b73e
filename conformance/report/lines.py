"""The results file as a report: the JSON lines themselves (results.schema.json describes each)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seatrial.conformance.verdict.results import Run


def json_lines(runs: Sequence[Run]) -> str:
    """The results file: for each run its stamp, its plan, its results and its end."""
    lines: list[str] = []
    for run in runs:
        lines.append(json.dumps({"kind": "stamp", **run.stamp}))
        if run.planned:
            lines.append(json.dumps({"kind": "plan", "cases": run.planned}))
        lines += [result.line() for result in run.results]
        if run.end:
            lines.append(json.dumps({"kind": "end", **run.end}))
    return "".join(line + "\n" for line in lines)
