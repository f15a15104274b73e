"""Which case exercises what: the suite run once against the recorder.

Each case runs in a process of its own, so that what it shares with others (the report of the default bundle, the proof
that the runtime is sane) is its own doing too.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sensitivity import executables
from seatrial.conformance.sensitivity.lanes import Lanes
from seatrial.conformance.verdict import outcome

TIMEOUT = 20.0  # seconds for one invocation of the recorder, which is slower than the runtime
# A single operation is a mutant of its own when it is in the plans of so many containers: in the default bundle's.
COMMON = 0.5
ALWAYS_KEYED = ("sync", "setns", "keep_caps")


@dataclass(slots=True)
class Survey:
    """What is known about the cases in one cgroup view: how each ended, its seconds, and the mutations that could show
    in it."""

    view: str
    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    points: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any]) -> None:
        """One line of the file."""
        case = entry["case"]
        self.outcomes[case], self.seconds[case] = entry["outcome"], entry["seconds"]
        self.points[case] = entry["points"]

    def keep(self, cases: Iterable[str]) -> None:
        """Forget every case but these."""
        for case in set(self.outcomes) - set(cases):
            del self.outcomes[case], self.seconds[case], self.points[case]

    def points_of_any(self) -> set[str]:
        """Every mutation that could show in some case."""
        return set().union(*self.points.values())

    def without_effect(self) -> list[str]:
        """Mutations about hiding a path that this host does not have: nothing changes by them."""
        return sorted(name for name in self._all() if _absent(name))

    def mutations(self) -> dict[str, list[str]]:
        """Mutation -> the cases that could notice it: those that the runtime passes."""
        return {name: cases for name, cases in self._all().items() if not _absent(name)}

    def _all(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for case, names in self.points.items():
            if self.outcomes[case] == outcome.PASSED:
                for name in names:
                    found.setdefault(name, []).append(case)
        counts = Counter({name: len(cases) for name, cases in found.items()})
        worth = [name for name in sorted(found) if _worth(name, counts)]
        alike = Counter(name.partition("[")[0] for name in worth if _keyed(name))
        return {name: found[name] for name in worth if not _keyed(name) or alike[name.partition("[")[0]] > 1}


def _worth(name: str, counts: Counter[str]) -> bool:
    """Not every path of every case makes a mutant: "mount[/proc]" does, "mount[/some/case's/own]" does not."""
    if not _keyed(name):
        return True
    _, kind, operation = name.partition("[")[0].split("/")
    return operation in ALWAYS_KEYED or counts[name] >= COMMON * counts[f"plan/{kind}/exec/dropped"]


def _keyed(name: str) -> bool:
    return name.startswith("plan/") and "[" in name


def _absent(name: str) -> bool:
    operation, bracket, rest = name.partition("[")
    path = rest.partition("]")[0]
    return bool(bracket) and operation.rpartition("/")[2] in ("mask", "readonly") and not os.path.exists(path)


def path_of(directory: str, view: str) -> str:
    """The survey's file."""
    return os.path.join(directory, f"survey-{view}.jsonl")


def read(directory: str, view: str) -> Survey:
    """The survey in a file; empty when there is none.  EnvironmentProblem when it is not one."""
    survey = Survey(view)
    path = path_of(directory, view)
    if not os.path.exists(path):
        return survey
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                survey.add(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise EnvironmentProblem(f"{path}:{number}: not a line of a survey: {error}") from error
    return survey


def take(lanes: Lanes, survey: Survey, directory: str, cases: list[str], hear: Callable[[str, int], None]) -> None:
    """Survey the cases; each is added to the survey and to its file.  `hear` gets a case and how many are left."""
    lock = threading.Lock()
    waiting = list(reversed(cases))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        lane = lanes.lanes[number]
        log = os.path.join(lane.directory, "log")
        runtime = executables.recorder(os.path.join(lane.directory, "recorder"), log)
        try:
            while not failures:
                with lock:
                    if not waiting:
                        return
                    case = waiting.pop()
                for entry in lane.ask(runtime, [case], stop=True, timeout=TIMEOUT, log=log):
                    if "case" not in entry:
                        continue
                    with lock:
                        survey.add(entry)
                        file.write(json.dumps(entry) + "\n")
                        file.flush()
                        hear(case, len(waiting))
        except BaseException as error:
            failures.append(error)

    with open(path_of(directory, survey.view), "a", encoding="utf-8") as file:
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(lanes.lanes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
