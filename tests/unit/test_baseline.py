"""--write-expect: the file after a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import baseline, expect
from seatrial.conformance.verdict.expect import Expectations, Facts
from seatrial.conformance.verdict.results import CaseResult, Run

STAMP: dict[str, Any] = {
    "started": "2026-01-02T03:04:05Z",
    "profile": "spec",
    "runtime": {"path": "/usr/bin/runc", "name": "runc version 1.1.5"},
    "privilege": "root",
    "cgroup": {"view": "v1"},
    "host": {"kernel": "6.1.0"},
}
CASES = [f"a/test_a.py::test_{name}" for name in ("one", "two", "three", "four[x]", "four[y]")]
ONE, TWO, THREE, FOUR_X, FOUR_Y = CASES


def run(
    failing: dict[str, str | None], passing: tuple[str, ...] = (), skipped: tuple[str, ...] = (), **stamp: Any
) -> Run:
    found = Run({**STAMP, **stamp})
    for case, failure in failing.items():
        reason = f'{case[-5:]} is "wrong" \x7f \\ \U0001f600\nmore'
        found.results.append(CaseResult(case, (), "failed", "spec", reason, 1, 1, None, failure))
    for case in passing:
        found.results.append(CaseResult(case, (), "passed", "spec", "", 1, 1, None))
    for case in skipped:
        found.results.append(CaseResult(case, (), "skipped", "spec", "root: no", 1, 1, None))
    return found


def excused(text: str, case: str, kind: str = "failed", **stamp: Any) -> bool:
    entries = expect.parse(text, "f.toml")
    return Expectations(entries, Facts.of({**STAMP, **stamp})).judge(case, kind).excused


def test_first_baseline_excuses_what_fails(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    changes = baseline.write(str(path), run({ONE: None, TWO: "crashed"}, (THREE,)), CASES)
    text = path.read_text()
    assert changes.added == [ONE, TWO]
    assert changes.excused == {ONE, TWO}
    assert excused(text, ONE)
    assert excused(text, TWO, "crashed")
    assert not excused(text, TWO, "failed")
    assert not excused(text, THREE)
    assert not excused(text, ONE, cgroup={"view": "v2"})
    assert not excused(text, ONE, runtime={"path": "/usr/bin/crun", "name": "crun version 1"})
    assert excused(text, ONE, runtime={"path": "/usr/bin/runc", "name": "runc version 1.2.0"})  # or it were no ratchet
    assert expect.parse(text, "f")[0].reason == f'{ONE[-5:]} is "wrong" \x7f \\ \U0001f600'
    again = baseline.write(str(path), run({ONE: None, TWO: "crashed"}, (THREE,)), CASES)
    assert (again.added, again.removed, again.known) == ([], [], [ONE, TWO])
    assert path.read_text() == text


def test_equal_reasons_make_one_entry() -> None:
    first = run({FOUR_X: None, FOUR_Y: None})
    first.results = [CaseResult(r.case, (), "failed", "spec", "same", 1, 1, None) for r in first.results]
    entries = expect.parse(baseline.update("", first, CASES, baseline.Changes()), "f")
    assert [entry.cases for entry in entries] == [(FOUR_X, FOUR_Y)]


WRITTEN = f"""# Our file.

# About one.
[[expect]]
case = "{ONE}"   # it is first
reason = '''
[[expect]] is what a
reason may contain'''
link = "https://example.org/1"

# About four.
[[expect]]
reason = "both"
case = [
    "a/test_a.py::test_four[*]",  # x and y
    "{TWO}",
]

# For the other runtime.
[[expect]]
case = "{THREE}"
reason = "crun"
runtime = "crun"
"""


def test_what_people_wrote_stays() -> None:
    changes = baseline.Changes()
    plain = WRITTEN.replace("[[expect]] is", "this is")
    same = baseline.update(plain, run({ONE: None, TWO: None, FOUR_X: None, FOUR_Y: None}, (THREE,)), CASES, changes)
    assert same == plain
    assert not changes.added
    assert not changes.removed
    text = baseline.update(plain, run({FOUR_Y: None}, (ONE, TWO, THREE, FOUR_X)), CASES, changes)
    assert text == plain.replace(plain[plain.index("# About one.") : plain.index("# About four.")], "").replace(
        plain[plain.index("case = [") : plain.index("# For the other")], f'case = "{FOUR_Y}"\n\n'
    )
    assert changes.removed == [ONE, FOUR_X, TWO]


def test_cases_that_did_not_run_stay() -> None:
    plain = WRITTEN.replace("[[expect]] is", "this is")
    changes = baseline.Changes()
    assert baseline.update(plain, run({}, (), (ONE,)), CASES, changes) == plain
    text = baseline.update(plain, run({}, (FOUR_X,)), CASES, changes)
    assert expect.parse(text, "f")[1].cases == (FOUR_Y, TWO)  # y was not selected


def test_stale_names_go() -> None:
    changes = baseline.Changes()
    text = '[[expect]]\ncase = ["a/gone", "z*"]\nreason = "old"\n'
    assert baseline.update(text, run({}, (ONE,)), CASES, changes) == ""
    assert changes.removed == ["a/gone", "z*"]


def test_expired_entry_is_left_to_people() -> None:
    text = f'[[expect]]\ncase = "{ONE}"\nreason = "soon"\nexpires = 2020-01-01\n'
    changes = baseline.Changes()
    assert baseline.update(text, run({ONE: None}), CASES, changes) == text
    assert changes.expired == ["soon [expectations:1]"]
    assert ONE not in changes.excused


def test_failure_of_another_kind_gets_an_entry_of_its_own() -> None:
    text = f'[[expect]]\ncase = "{ONE}"\nreason = "plain"\n'
    changed = baseline.update(text, run({ONE: "crashed"}), CASES, baseline.Changes())
    assert [entry.outcome for entry in expect.parse(changed, "f")] == ["crashed"]


def test_flaky_and_skipped_entries_are_not_touched() -> None:
    text = "".join(f'[[expect]]\ncase = "{ONE}"\nreason = "x"\noutcome = "{name}"\n' for name in ("flaky", "skipped"))
    assert baseline.update(text, run({}, (ONE,)), CASES, baseline.Changes()) == text


@pytest.mark.parametrize("text", ['expect = [{ case = "x", reason = "y" }]\n', WRITTEN])
def test_file_that_cannot_be_edited_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(EnvironmentProblem, match="cannot be updated"):
        baseline.write(str(path), run({ONE: None}), CASES)
    assert path.read_text() == text


def test_write_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    path, link = tmp_path / "known.toml", tmp_path / "link.toml"
    path.write_text("")
    path.chmod(0o640)
    link.symlink_to(path)
    baseline.write(str(link), run({ONE: None}), CASES)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["known.toml", "link.toml"]
    with pytest.raises(EnvironmentProblem, match=r"cannot write .*No such file"):
        baseline.write(str(tmp_path / "none" / "x.toml"), run({ONE: None}), CASES)
