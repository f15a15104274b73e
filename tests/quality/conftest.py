"""The control: what the suite says of the runtime without any bug, once for all workers of pytest-xdist."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
from mutants import TABLE
from trial import CONTROL, judge, write_wrapper


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, str]:
    """Case -> outcome, of every case that some mutant refers to, for the runtime without a bug.

    It runs by the same entry point as the mutants do, so that what a mutant fails is due to its bug alone.
    """
    base = tmp_path_factory.getbasetemp()
    shared = str(base.parent if worker_id != "master" else base)
    file = os.path.join(shared, "control.json")
    with open(os.path.join(shared, "control.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(file):
            cases = dict.fromkeys(case for mutant in TABLE for case in mutant.cases)
            wrapper, _ = write_wrapper(shared, CONTROL)
            outcomes = {result.case: result.outcome for result in judge(wrapper, cases, workers=2)}
            with open(file, "w", encoding="utf-8") as out:
                json.dump(outcomes, out)
        with open(file, encoding="utf-8") as stored:
            found: dict[str, str] = json.load(stored)
            return found
