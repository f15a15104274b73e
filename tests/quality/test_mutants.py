"""Every planted bug is noticed by the conformance suite: a mutant that survives is a hole in the suite."""

from __future__ import annotations

import os

import pytest
from mutants import TABLE
from planting import Mutant
from trial import judge, write_wrapper

from seatrial.conformance import outcome


def test_names_are_unique() -> None:
    names = [mutant.name for mutant in TABLE]
    assert len(names) == len(set(names))


def test_the_runtime_without_a_bug_passes_the_same_cases(control: dict[str, str]) -> None:
    assert control
    assert {case: found for case, found in control.items() if found == outcome.FAILED} == {}


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.name)
def test_mutant_is_noticed(
    mutant: Mutant, control: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At least one case that the runtime without the bug passes fails for the mutant."""
    wrapper, mark = write_wrapper(str(tmp_path_factory.mktemp("mutant")), mutant.name)
    results = judge(wrapper, mutant.cases)
    if all(control[result.case] == outcome.SKIPPED for result in results):
        pytest.skip("; ".join(dict.fromkeys(result.reason for result in results)))
    assert os.path.exists(mark), f"{mutant.name} did not take place: what it changes does not occur in {mutant.cases}"
    killers = [
        result.case
        for result in results
        if result.outcome == outcome.FAILED and control[result.case] == outcome.PASSED
    ]
    assert killers, f"nobody noticed that {mutant.bug}: {[(result.case, result.outcome) for result in results]}"
