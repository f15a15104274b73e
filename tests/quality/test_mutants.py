"""Every planted bug is noticed by the conformance suite: a mutant that survives is a hole in the suite."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from mutants import TABLE
from planting import Mutant
from trial import Judges, killers, write_wrapper

from seatrial.conformance.verdict import outcome

TIMEOUT = 4.0  # seconds for one command: a mutant that hangs need not hang for long

PLANT_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
from mutants import TABLE
for mutant in TABLE:
    try:
        mutant.plant()
    except (ImportError, AttributeError, KeyError) as error:
        print(f"{mutant.name}: {error!r}")
"""

Control = dict[str, dict[str, str]]


def test_names_are_unique() -> None:
    names = [mutant.name for mutant in TABLE]
    assert len(names) == len(set(names))


def test_every_plant_finds_its_place() -> None:
    """What a mutant replaces is there, also where its cases are skipped.  (All in one process, to be thrown away.)"""
    done = subprocess.run([sys.executable, "-c", PLANT_ALL, os.path.dirname(__file__)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_runtime_without_a_bug_passes_the_same_cases(control: Control) -> None:
    assert control["host"]
    found = [f"{case} ({view})" for view, cases in control.items() for case in cases if cases[case] == outcome.FAILED]
    assert found == []


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.name)
def test_mutant_is_noticed(mutant: Mutant, control: Control, judges: Judges) -> None:
    """At least one case that the runtime without the bug passes fails for the mutant."""
    if mutant.view not in control:
        pytest.skip(f"this host has no cgroup {mutant.view} view")
    before = control[mutant.view]
    with judges.lane(mutant.view) as lane:
        wrapper, mark = write_wrapper(lane.directory, mutant.name)
        results = judges.judge(lane, wrapper, mutant.cases, timeout=TIMEOUT)
        took_place = os.path.exists(mark)
    if all(before[result.case] == outcome.SKIPPED for result in results):
        pytest.skip("; ".join(dict.fromkeys(result.reason for result in results)))
    assert took_place, f"the bug did not take place: what it changes does not occur in {mutant.cases}"
    seen = [(result.case, result.outcome) for result in results]
    assert killers(results, before), f"nobody noticed that {mutant.bug}: {seen}"
