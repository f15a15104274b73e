"""Runs the suite against every mutant.

First each mutant meets the cases that are likeliest to notice it, until one fails.  What is left then meets all the
other cases that exercise what it changes: several such mutants at once, planted in one runtime, since most cases pass
for all of them; where one fails, each of them is asked about alone.

A case kills a mutant when it fails for it and passes for the control, which is the same program without a bug.  One
that was not among the first to be asked, or whose failure has to do with time, must fail twice: on a busy host a case
may fail by chance.  A skip, an environment error or a harness bug kills nobody.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.sensitivity import executables
from seatrial.conformance.sensitivity.choice import Chooser
from seatrial.conformance.sensitivity.lanes import Lane, Lanes
from seatrial.conformance.sensitivity.results import KILLED, SURVIVED, Results, Verdict
from seatrial.conformance.sensitivity.survey import Survey
from seatrial.conformance.verdict import outcome

FIRST = 5  # cases that each mutant meets alone
GROUP = 16  # mutants that meet the rest together
CHUNK = 40  # cases of one job of a group
SURE = 2  # the failure of so early a case is believed at once
TIMEOUT = 8.0  # seconds for one command of a mutant: one that hangs need not hang for long
SLOW = ("the case is not finished", "killed after", "still runs", " s, not ")  # reasons that a busy host may be behind
CONTROLS = 3  # so often a case is tried with the control before it is held unsound: for all mutants to come
CASE_DIED = "died"


@dataclass(frozen=True, slots=True)
class Settings:
    """`timeout` in seconds is for one command of a mutant; `deadline` is a time.monotonic() after which no work is
    begun, None for no limit; `thorough`: without it the second part is left out; `rest`: of it so many cases; `cases`:
    no others are asked, None for all."""

    timeout: float = TIMEOUT
    deadline: float | None = None
    first: int = FIRST
    thorough: bool = True
    rest: int | None = None
    cases: frozenset[str] | None = None


class Campaign:
    """One view's campaign.  `hear` gets each verdict."""

    def __init__(
        self, lanes: Lanes, survey: Survey, results: Results, settings: Settings, hear: Callable[[Verdict], None]
    ) -> None:
        self.lanes = lanes
        self.survey = survey
        self.results = results
        self.settings = settings
        self.hear = hear
        self.candidates = survey.mutations()
        self.chooser = Chooser(survey.outcomes, survey.points, survey.seconds)
        self.sound: dict[str, bool] = {}  # whether the control passed, of cases that were asked again
        self.lock = threading.Lock()
        for (mutation, view), verdict in results.verdicts.items():
            if view == survey.view and verdict.verdict == KILLED:
                self.chooser.learn(mutation, verdict.killer)

    def run(self, mutations: Sequence[str]) -> None:
        """Judge these mutants; those that have a complete verdict already are left out."""
        new = [name for name in mutations if self._unmet(name)]
        self._side_by_side(_spread(new), self._meet_the_likeliest)
        if not self.settings.thorough:
            return
        left = [name for name in mutations if (name, self.survey.view) in self.results.verdicts and self._rest(name)]
        groups = [left[start : start + GROUP] for start in range(0, len(left), GROUP)]  # neighbours are alike
        self._side_by_side(groups, self._meet_the_rest)

    def _side_by_side(self, work: Iterable[Any], do: Callable[[Lane, Any], None]) -> None:
        waiting = list(work)[::-1]
        failures: list[BaseException] = []

        def serve(lane: Lane) -> None:
            try:
                while not failures and not self._late():
                    with self.lock:
                        if not waiting:
                            return
                        piece = waiting.pop()
                    do(lane, piece)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=serve, args=(lane,), daemon=True) for lane in self.lanes.lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _late(self) -> bool:
        return self.settings.deadline is not None and time.monotonic() > self.settings.deadline

    def _unmet(self, mutation: str) -> bool:
        """Whether a mutant has not met as many of the likeliest cases as it should."""
        verdict = self.results.verdicts.get((mutation, self.survey.view))
        alive = verdict is None or verdict.verdict != KILLED
        return alive and self._met(verdict) < self.settings.first and bool(self._rest(mutation))

    def _met(self, verdict: Verdict | None) -> int:
        """How many of the cases that are asked a survivor has met."""
        return sum(self._asked(case) for case in verdict.silent) if verdict is not None else 0

    def _asked(self, case: str) -> bool:
        return self.settings.cases is None or case in self.settings.cases

    def _rest(self, mutation: str) -> list[str]:
        """The cases that have not been asked about a survivor."""
        verdict = self.results.verdicts.get((mutation, self.survey.view))
        if verdict is not None and verdict.verdict == KILLED:
            return []
        silent = set(verdict.silent) if verdict is not None else set()
        return [case for case in self.candidates.get(mutation, ()) if case not in silent and self._asked(case)]

    # -- the likeliest cases -------------------------------------------------------------------------------------------

    def _meet_the_likeliest(self, lane: Lane, mutation: str) -> None:
        start = time.monotonic()
        cases = self.candidates[mutation]
        verdict = Verdict(mutation, self.survey.view, SURVIVED, candidates=len(cases))
        with self.lock:
            known = self.results.verdicts.get((mutation, self.survey.view))
            verdict.silent = list(known.silent) if known is not None else []
            number = self.settings.first - self._met(known)
            chosen = self.chooser.order(mutation, self._rest(mutation))[:number]
        runtime, mark = self._mutant(lane, [mutation])
        waiting = chosen
        while waiting:
            killer, reason, silent = self._first_to_fail(lane, runtime, waiting)
            verdict.silent += silent
            if killer is None:
                break
            waiting = waiting[waiting.index(killer) + 1 :]
            early = chosen.index(killer) < SURE and not any(words in reason for words in SLOW)
            if os.path.exists(mark) and (early or self._fails_again(lane, runtime, killer)):
                verdict.verdict, verdict.killer, verdict.reason = KILLED, killer, reason
                verdict.silent = []
                break
            verdict.silent.append(killer)
        verdict.applied = os.path.exists(mark) or (known is not None and known.applied)
        verdict.seconds = round(time.monotonic() - start, 3)
        self._conclude(verdict)

    def _conclude(self, verdict: Verdict) -> None:
        with self.lock:
            if verdict.verdict == KILLED:
                self.chooser.learn(verdict.mutation, verdict.killer)
            self.results.add(verdict)
            self.hear(verdict)

    def _mutant(self, lane: Lane, mutations: Sequence[str]) -> tuple[str, str]:
        """A fresh executable, and the mark that it makes."""
        path, mark = os.path.join(lane.directory, "mutant"), os.path.join(lane.directory, "mark")
        if os.path.exists(mark):
            os.unlink(mark)
        return executables.mutant(path, mutations, mark), mark

    def _first_to_fail(self, lane: Lane, runtime: str, cases: Sequence[str]) -> tuple[str | None, str, list[str]]:
        """The first of the cases that fails, its reason, and those before it."""
        silent: list[str] = []
        waiting = list(cases)
        while waiting:
            died, case, reason = None, None, ""
            for entry in lane.ask(runtime, waiting, stop=True, timeout=self.settings.timeout):
                if entry.get("outcome") == outcome.FAILED:
                    case, reason = entry["case"], entry["reason"]
                died = entry.get("died")
            if case is not None:
                return case, reason, [*silent, *waiting[: waiting.index(case)]]
            if died is None:
                break
            # The mutant took the judge with it: whoever runs the suite would see that, but no case has said so.
            position = waiting.index(died)
            silent += waiting[: position + 1]
            waiting = waiting[position + 1 :]
        return None, "", [*silent, *waiting]

    def _fails_again(self, lane: Lane, runtime: str, case: str) -> bool:
        """Whether a failure is the mutant's doing: it comes again, and not with the control."""
        with self.lock:
            known = self.sound.get(case)
        if known is None:
            control = executables.mutant(os.path.join(lane.directory, "control"), [])
            known = any(self._outcome(lane, control, case) == outcome.PASSED for _ in range(CONTROLS))
            with self.lock:
                self.sound[case] = known
        return known and self._outcome(lane, runtime, case) == outcome.FAILED

    def _outcome(self, lane: Lane, runtime: str, case: str) -> str:
        found = CASE_DIED
        for entry in lane.ask(runtime, [case], stop=True, timeout=self.settings.timeout):
            found = entry.get("outcome", found)
        return found

    # -- a second killer -----------------------------------------------------------------------------------------------

    def find_seconds(self, mutations: Sequence[str]) -> None:
        """For each mutant that was killed: is there another case that kills it?  Where there is, nobody needs the
        first one for it.  Of what could notice, `rest` cases are asked at most.  In an order of chance, so that what
        is done by the deadline is a fair sample."""
        mixed = sorted(mutations, key=lambda name: zlib.crc32(name.encode()))
        verdicts = [self.results.verdicts.get((name, self.survey.view)) for name in mixed]
        dead = [each for each in verdicts if each and each.verdict == KILLED and not each.second]
        self._side_by_side(dead, self._find_second)

    def _find_second(self, lane: Lane, verdict: Verdict) -> None:
        start = time.monotonic()
        known = {verdict.killer, *verdict.silent}
        cases = [case for case in self.candidates[verdict.mutation] if case not in known and self._asked(case)]
        with self.lock:
            waiting = self.chooser.order(verdict.mutation, cases)[: self.settings.rest]
        runtime, _ = self._mutant(lane, [verdict.mutation])
        while waiting and not self._late():
            part = waiting[:CHUNK]
            killer, _, silent = self._first_to_fail(lane, runtime, part)
            verdict.silent += silent
            waiting = waiting[len(silent) :]
            if killer is not None:
                waiting = waiting[1:]
                if self._fails_again(lane, runtime, killer):
                    verdict.second, verdict.silent = killer, []
                    break
                verdict.silent.append(killer)
        verdict.candidates = len(self.candidates[verdict.mutation])
        verdict.seconds = round(verdict.seconds + time.monotonic() - start, 3)
        with self.lock:
            self.results.add(verdict)
            self.hear(verdict)

    # -- the other cases -----------------------------------------------------------------------------------------------

    def _meet_the_rest(self, lane: Lane, group: list[str]) -> None:
        """All cases that have not been asked, for several survivors in one runtime."""
        rest = {name: set(self._rest(name)) for name in group}
        with self.lock:
            cases = _in_turn([self.chooser.order(name, rest[name]) for name in group])[: self.settings.rest]
        verdicts = {name: self.results.verdicts[name, self.survey.view] for name in group}
        alive = list(group)
        while cases and alive and not self._late():
            runtime, _ = self._mutant(lane, alive)
            part = cases[:CHUNK]
            killer, _, silent = self._first_to_fail(lane, runtime, part)
            asked = [*silent, *([killer] if killer else [])]
            cases = cases[len(asked) :]
            if killer is not None:
                for name in self._culprits(lane, [name for name in alive if killer in rest[name]], killer):
                    if self._killed_alone(lane, verdicts[name], killer):
                        alive.remove(name)
            for name in alive:
                verdicts[name].silent += [case for case in asked if case in rest[name]]
        for name in alive:
            verdicts[name].candidates = len(self.candidates[name])
            self._conclude(verdicts[name])

    def _culprits(self, lane: Lane, names: list[str], case: str) -> list[str]:
        """Those of several mutants for which a case fails, found by halves."""
        if len(names) < 2:
            return names
        found = []
        for part in (names[: len(names) // 2], names[len(names) // 2 :]):
            runtime, _ = self._mutant(lane, part)
            if self._outcome(lane, runtime, case) != outcome.PASSED:
                found += self._culprits(lane, part, case)
        return found

    def _killed_alone(self, lane: Lane, verdict: Verdict, case: str) -> bool:
        runtime, mark = self._mutant(lane, [verdict.mutation])
        killer, reason, _ = self._first_to_fail(lane, runtime, [case])
        verdict.applied = verdict.applied or os.path.exists(mark)
        if killer is None or not os.path.exists(mark) or not self._fails_again(lane, runtime, case):
            return False
        verdict.verdict, verdict.killer, verdict.reason, verdict.silent = KILLED, case, reason, []
        self._conclude(verdict)
        return True


def _in_turn(orders: Sequence[Sequence[str]]) -> list[str]:
    """Each list's first, then each list's second ..., nothing twice."""
    rows = itertools.zip_longest(*orders)
    return list(dict.fromkeys(case for row in rows for case in row if case is not None))


def _spread(names: list[str]) -> list[str]:
    """Each family's first, then each family's second ...: what is learnt about one operation helps with the next."""
    seen: dict[str, int] = {}
    ranked = []
    for name in names:
        subject = name.rpartition("/")[0]
        seen[subject] = seen.get(subject, 0) + 1
        ranked.append((seen[subject], name))
    return [name for _, name in sorted(ranked)]
