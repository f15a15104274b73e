"""What the terminal shows: a line per topic while cases run (a moving bar on a tty), then the summary."""

from __future__ import annotations

import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

from seatrial.conformance.driver.driver import INSANE
from seatrial.conformance.engine.screen import Screen
from seatrial.conformance.report.text import visible
from seatrial.conformance.verdict import outcome, summary
from seatrial.conformance.verdict.results import fact

if TYPE_CHECKING:
    from seatrial.conformance.verdict.results import Run

DETAILED = 40  # failures that are told in full; the others are in the evidence and in the reports
BAD = frozenset(outcome.OUTCOMES) - {outcome.PASSED, outcome.SKIPPED, outcome.EXPECTED_FAILURE}


class Progress:
    """Hears the entries of a run as they happen.  On a terminal failures appear at once above a bar; otherwise a
    plain line is written when a topic is finished."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._screen = Screen(stream)
        self.topics: dict[str, int] = {}
        self.seen: dict[str, Counter[str]] = {}
        self.seconds: Counter[str] = Counter()

    def hear(self, entry: dict[str, Any]) -> None:
        """Take one entry of the results file."""
        kind = entry["kind"]
        if kind == "stamp":
            self._screen.say(header(entry))
        elif kind == "plan":
            self.topics = entry["topics"]
            if self._screen.live:
                self._screen.start(entry["cases"], 16)
        elif kind == "result":
            self._result(entry)
        elif kind == "end":
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._screen.close()

    def _result(self, entry: dict[str, Any]) -> None:
        topic = entry["case"].partition("/")[0]
        counts = self.seen.setdefault(topic, Counter())
        counts[entry["outcome"]] += 1
        self._screen.move(advance=1, description=topic)
        if entry["outcome"] in BAD:
            self._screen.say(f"  {entry['outcome']}: {entry['case']}: {summary.first_line(entry['reason'])}")
        if counts.total() == self.topics.get(topic):
            self._screen.say(f"{topic:<16} {counts.total():>4} cases: {summary.counts_line(counts, outcome.OUTCOMES)}")


def header(stamp: dict[str, Any]) -> str:
    """What is tested, where, in two lines."""
    where = "in the airlock" if stamp.get("airlock") else "without an airlock"
    masks = f" behind {fact(stamp, 'masks')}" if stamp.get("masks") else ""
    name = fact(stamp, "runtime", "name", default="no version text")
    return (
        f"{name}  {fact(stamp, 'runtime', 'path')}  {fact(stamp, 'runtime', 'digest')[:19]}\n"
        f"runtime-spec {fact(stamp, 'spec')}, profile {fact(stamp, 'profile')}, {fact(stamp, 'privilege')}, "
        f"cgroup {fact(stamp, 'cgroup', 'view')}, kernel {fact(stamp, 'host', 'kernel')}{masks}, {where}"
    )


def print_summary(run: Run, stream: IO[str] | None = None) -> None:
    """Score per section, failures with their evidence and a line to replay each, totals."""
    out = stream or sys.stdout
    bad = summary.failures(run)

    def say(text: str = "") -> None:
        print(visible(text), file=out)

    say()
    say(f"{'section':<58}{'verified':>9}{'violated':>9}{'n/a':>5}{'untested':>9}")
    for section in summary.sections(run):
        counts = section.verdicts
        if counts[outcome.UNTESTED] == section.total:
            continue
        numbers = [counts[name] for name in outcome.VERDICTS]
        cells = "".join(f"{number or '·':>{width}}" for number, width in zip(numbers, (9, 9, 5, 9), strict=True))
        say(f"{section.name:<58}{cells}")
    if bad:
        say()
    for number, result in enumerate(bad):
        say(f"{result.outcome}: {result.case}")
        if number < DETAILED:
            for line in result.reason.splitlines()[:6]:
                say(f"    {line[:200]}")
            say(f"    covers {', '.join(result.requirements) or 'nothing'}")
        if result.evidence:
            say(f"    seatrial replay {result.evidence}")
    say()
    total = summary.totals(run)
    insane = next((result.reason for result in bad if INSANE in result.reason), None)
    if insane:
        say(f"note          {summary.first_line(insane[insane.index(INSANE) :], 300)}")
    say(f"cases         {len(run.results)}: {summary.counts_line(summary.outcomes(run), outcome.OUTCOMES)}")
    say(f"requirements  {total.total()}: {summary.counts_line(total, outcome.VERDICTS)}")
    say(f"time          {time_line(run)}")


def time_line(run: Run) -> str:
    """`61.2 s with 2 workers: 84 % of their time inside the runtime, 16 % outside`."""
    share = run.share_inside()
    if share is None:
        return "unknown: the run did not come to its end"
    inside = round(100 * share)
    who, whose = ("1 worker", "its") if run.workers == 1 else (f"{run.workers} workers", "their")
    return f"{run.seconds:.1f} s with {who}: {inside} % of {whose} time inside the runtime, {100 - inside} % outside"
