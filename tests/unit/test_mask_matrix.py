"""`check --mask`: needs of a masked kernel, and what a run for each feature says together."""

from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from seatrial.conformance.check import CASES, Selection, pytest_command
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.engine import needs
from seatrial.conformance.engine.progress import header
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.mask import matrix
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult, Run


def run_of(masks: list[str], **outcomes: str) -> Run:
    """A run whose cases are named by the keywords."""
    results = []
    for name, found in outcomes.items():
        fields: dict[str, Any] = {
            "case": f"exec/test_x.py::{name}",
            "requirements": (),
            "outcome": found,
            "profile": "spec",
            "reason": f"because of {name}",
            "seconds": 0.1,
            "runtime_seconds": 0.1,
            "evidence": None,
        }
        results.append(CaseResult(**fields))
    return Run({"masks": masks}, results)


PLAIN = run_of([], one="passed", two="passed", three="failed", four="skipped")


def test_broken_is_what_passes_without() -> None:
    masked = run_of(["no-pidfd"], one="passed", two="failed", three="failed", four="failed")
    assert [result.case for result in matrix.broken(PLAIN, masked)] == ["exec/test_x.py::two"]
    assert matrix.broken(PLAIN, run_of([], one="skipped", two="skipped")) == []


def test_the_matrix_names_mask_case_and_reason() -> None:
    runs = {matrix.PLAIN: PLAIN, "no-pidfd": run_of(["no-pidfd"], one="failed", two="passed", three="skipped")}
    out = io.StringIO()
    matrix.print_matrix(runs, out)
    text = out.getvalue()
    for word in ("no-pidfd", "exec/test_x.py::one", "because of one", "1 cases broken"):
        assert word in text
    assert "test_x.py::two" not in text


def test_exit_status_is_the_worst() -> None:
    def status(run: Run) -> int:
        return run.exit_status()

    fine = run_of([], one="passed")
    nothing = run_of(["no-time-ns"], one="skipped")
    assert matrix.exit_status({matrix.PLAIN: fine, "no-time-ns": nothing}, status) == outcome.CLEAN
    assert matrix.exit_status({matrix.PLAIN: nothing, "no-time-ns": fine}, status) == outcome.ENVIRONMENT
    broken = run_of(["no-pidfd"], one="failed")
    assert matrix.exit_status({matrix.PLAIN: fine, "no-time-ns": nothing, "no-pidfd": broken}, status) == outcome.FOUND


def test_each_run_is_behind_its_mask_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every feature once, one run without; the same selection otherwise."""
    seen: list[Selection] = []

    def check(selection: Selection, _listen: object) -> Run:
        seen.append(selection)
        return run_of(list(selection.masks), one="passed")

    monkeypatch.setattr(matrix, "check", check)
    selection = Selection(runtime="/bin/true", keyword="exec", workers=3, evidence="/e", masks=("all",))
    runs = matrix.judge(selection, 2, io.StringIO())
    assert list(runs) == [matrix.PLAIN, *matrix.features()]
    assert sorted(found.masks for found in seen) == sorted([(), *((name,) for name in matrix.features())])
    assert {found.keyword for found in seen} == {"exec"}
    assert len({found.evidence for found in seen}) == len(seen)


def test_the_first_trouble_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(selection: Selection, _listen: object) -> Run:
        if selection.masks:
            return run_of(list(selection.masks), one="passed")
        raise HarnessBug("no")

    monkeypatch.setattr(matrix, "check", check)
    with pytest.raises(HarnessBug):
        matrix.judge(Selection(runtime="/bin/true"), 1, io.StringIO())


def masked(*names: str) -> Runtime:
    return cast(Runtime, SimpleNamespace(masks=names))


def test_needs_of_a_masked_kernel() -> None:
    assert needs.unmet("kernel>=4.15", masked("linux-4.18")) is None
    assert "linux-4.18" in str(needs.unmet("kernel>=5.12", masked("no-statx", "linux-4.18")))
    assert "linux-4.18" in str(needs.unmet("call:mount_setattr", masked("linux-4.18")))
    assert "no-mount-setattr" in str(needs.unmet("call:mount_setattr", masked("no-mount-setattr")))
    assert needs.unmet("call:openat2", masked("no-mount-setattr")) == needs.unmet("call:openat2")
    assert "no-time-ns" in str(needs.unmet("time-ns", masked("no-time-ns")))
    with pytest.raises(HarnessBug):
        needs.check_word("call:nothing")


def test_masks_reach_pytest_and_the_header() -> None:
    command = pytest_command(Selection(runtime="/r", tests=(CASES,), masks=("no-pidfd", "linux-5.4")), "/w", "/f")
    assert [command[at + 1] for at, word in enumerate(command) if word == "--mask"] == ["no-pidfd", "linux-5.4"]
    stamp: dict[str, Any] = {"runtime": {"name": "r", "path": "/r", "digest": "sha256:0"}, "host": {"kernel": "6.18"}}
    assert "no-pidfd, linux-5.4" in header({**stamp, "masks": ["no-pidfd", "linux-5.4"]})
    assert "behind" not in header({**stamp, "masks": []})


@pytest.mark.parametrize(
    "words", [["--mask", "no-pidfs"], ["--mask", "all", "--mask", "no-pidfd"], ["--mask", "all", "--lf"]]
)
def test_bad_masks_are_told_before_anything_runs(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seatrial.conformance.cli", "check", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == outcome.ENVIRONMENT
    assert "Traceback" not in done.stderr
    assert "mask" in done.stderr
