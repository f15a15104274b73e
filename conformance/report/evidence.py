"""Where the evidence of a result is now: results travel from the machine that made them to the one that reports."""

from __future__ import annotations

import os
from dataclasses import replace

from seatrial.conformance.verdict.results import Run

DEEPEST = 8  # components of the path that are looked for below the folder of the results file


def located(run: Run) -> Run:
    """The run with evidence as it is found here: at the recorded path, or else at the end of that path below the folder
    of the results file, as when both were uploaded together.  What is found nowhere keeps its recorded path."""
    if not run.source:
        return run
    folder = os.path.dirname(os.path.abspath(run.source))
    results = [
        result if result.evidence is None else replace(result, evidence=find(result.evidence, folder))
        for result in run.results
    ]
    return replace(run, results=results)


def find(recorded: str, folder: str) -> str:
    """The directory of a recorded path; the recorded one when there is none."""
    try:
        if os.path.isdir(recorded):
            return recorded
        parts = [part for part in recorded.split("/") if part not in ("", ".", "..")]
        for length in range(min(DEEPEST, len(parts)), 0, -1):
            path = os.path.join(folder, *parts[-length:])
            if os.path.isdir(path):
                return path
    except ValueError:  # a NUL in it
        pass
    return recorded
