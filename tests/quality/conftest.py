"""The control: what the suite says of the runtime without any bug, once for all workers of pytest-xdist."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator

import pytest
from mutants import TABLE
from trial import CONTROL, Judges, write_wrapper
from working_criu import criu_first_in_path

from seatrial.conformance.errors import EnvironmentProblem


@pytest.fixture(scope="session")
def criu_in_path() -> Iterator[None]:
    """The suite finds a CRIU that works, if there is one; else its cases about checkpoints are skipped."""
    with criu_first_in_path():
        yield


@pytest.fixture(scope="module")
def judges(criu_in_path: None) -> Iterator[Judges]:
    """One lane a view."""
    with Judges(1) as court:
        yield court


@pytest.fixture(scope="module")
def control(judges: Judges, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """View -> case -> outcome, of every case that some mutant refers to, for the runtime without a bug.  A view that
    this host does not have is left out.

    It runs by the same entry point as the mutants do, so that what a mutant fails is due to its bug alone.
    """
    base = tmp_path_factory.getbasetemp()
    shared = str(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
    file = os.path.join(shared, "control.json")
    with open(os.path.join(shared, "control.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(file):
            outcomes = run_control(judges)
            with open(file, "w", encoding="utf-8") as out:
                json.dump(outcomes, out)
        with open(file, encoding="utf-8") as stored:
            found: dict[str, dict[str, str]] = json.load(stored)
            return found


def run_control(judges: Judges) -> dict[str, dict[str, str]]:
    """What `control` returns."""
    found = {}
    for view in dict.fromkeys(mutant.view for mutant in TABLE):
        cases = [case for mutant in TABLE if mutant.view == view for case in mutant.cases]
        try:
            with judges.lane(view) as lane:
                wrapper, _ = write_wrapper(lane.directory, CONTROL)
                found[view] = {one.case: one.outcome for one in judges.judge(lane, wrapper, cases)}
        except EnvironmentProblem:
            continue
    return found
