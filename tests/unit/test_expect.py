"""Expectation files: reading them, what is told of mistakes, and what they make of an outcome."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import expect
from seatrial.conformance.verdict.expect import Expectations, Facts

TODAY = datetime.date(2026, 6, 15)
STAMP: dict[str, Any] = {
    "profile": "spec",
    "runtime": {"path": "/opt/bin/runc-dev", "name": "runc version 1.1.5+ds1"},
    "privilege": "root",
    "cgroup": {"view": "v1"},
    "host": {"kernel": "6.1.0-49-amd64"},
}


def judge(text: str, kind: str = "failed", case: str = "a/test_a.py::test_x[b]", **changes: Any) -> expect.Verdict:
    facts = Facts.of({**STAMP, **changes})
    return Expectations(expect.parse(text, "f.toml"), facts, TODAY).judge(case, kind)


def entry(**members: str) -> str:
    lines = {"case": '"a/test_a.py::test_x[b]"', "reason": '"known"', **members}
    return "[[expect]]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def test_failure_is_excused_with_its_reason() -> None:
    verdict = judge("\n" + entry(link='"docs/findings.md#exec"'))
    assert verdict.excused
    assert verdict.entry is not None
    assert verdict.entry.text() == "known (docs/findings.md#exec) [f.toml:2]"


@pytest.mark.parametrize(
    ("case", "match"),
    [
        ('"a/test_a.py::test_x[b]"', True),
        ('"a/test_a.py::test_x[*]"', True),
        ('"a/*::test_?[b]"', True),
        ('["a/test_a.py::test_y", "*[b]"]', True),
        ('"a/test_a.py::test_x[abc]"', False),  # no set of characters
        ('"a/test_a.py::test_x"', False),
        ('"test_a.py::test_x[b]"', False),
    ],
)
def test_globs(case: str, match: bool) -> None:
    assert judge(entry(case=case)).excused is match


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"runtime": '"runc"'}, True),
        ({"runtime": '"runc-dev"'}, True),  # the file's name
        ({"runtime": '"crun"'}, False),
        ({"runtime": '"runc 1.1"'}, True),
        ({"runtime": '"runc >=1.2"'}, False),
        ({"condition": '{ cgroup = "v1" }'}, True),
        ({"condition": '{ cgroup = ["v2", "hybrid"] }'}, False),
        ({"condition": '{ privilege = "rootless" }'}, False),
        ({"condition": '{ profile = "spec", kernel = ">=5.12 <6.2" }'}, True),
        ({"condition": '{ kernel = "<6" }'}, False),
        ({"condition": '{ mask = "none" }'}, True),
        ({"condition": '{ mask = "no-clone3" }'}, False),
    ],
)
def test_runtime_and_condition(members: dict[str, str], match: bool) -> None:
    assert judge(entry(**members)).excused is match


def test_mask_of_the_run() -> None:
    text = entry(condition='{ mask = ["no-clone3", "no-openat2"] }')
    assert judge(text, masks=["no-openat2"]).excused
    assert not judge(text, masks=["no-pidfd"]).excused
    assert not judge(entry(condition='{ mask = "none" }'), masks=["no-pidfd"]).excused


def test_crash_is_not_a_plain_failure() -> None:
    verdict = judge(entry(), "crashed")
    assert not verdict.excused
    assert verdict.note == "expected is another end, failed: known [f.toml:1]"
    assert judge(entry(outcome='"crashed"'), "crashed").excused
    assert not judge(entry(outcome='"crashed"'), "failed").excused
    assert not judge(entry(outcome='"flaky"'), "timeout").excused
    assert judge(entry() + entry(outcome='"timeout"'), "timeout").excused


def test_expired_entry_excuses_nothing() -> None:
    assert judge(entry(expires="2026-06-15")).excused
    verdict = judge(entry(expires="2026-06-14"))
    assert not verdict.excused
    assert verdict.note == "the expectation expired on 2026-06-14: known [f.toml:1]"
    assert judge(entry(expires='"2026-06-15"')).excused
    late = Expectations(expect.parse(entry(expires="2026-06-14"), "f.toml"), Facts.of(STAMP), TODAY)
    assert late.unexpected_pass("a/test_a.py::test_x[b]") is None


def test_pass_breaks_a_strict_entry_only() -> None:
    case = "a/test_a.py::test_x[b]"

    def broken(text: str) -> bool:
        return Expectations(expect.parse(text, "f"), Facts.of(STAMP), TODAY).unexpected_pass(case) is not None

    assert broken(entry())
    assert broken(entry(outcome='"crashed"'))
    assert not broken(entry(outcome='"flaky"'))
    assert not broken(entry(outcome='"skipped"'))
    assert not broken(entry(runtime='"crun"'))
    wide = entry(case='"a/*"', outcome='"flaky"')
    assert broken(wide + entry())  # the one that names the case decides
    assert not broken(wide + entry(case='"*"'))  # else the first
    assert broken(entry(case='"*"') + wide)


def test_skip_is_excused_by_an_entry_for_skips() -> None:
    assert judge(entry(outcome='"skipped"'), "skipped").excused
    assert not judge(entry(), "skipped").excused
    assert not judge(entry(outcome='"skipped"'), "failed").excused


def test_entry_that_names_the_case_goes_before_a_glob() -> None:
    text = entry(case='"a/*"', reason='"glob"') + entry(reason='"exact"')
    verdict = judge(text)
    assert verdict.entry is not None
    assert verdict.entry.reason == "exact"


def test_stale_patterns_are_named() -> None:
    text = entry(case='["a/test_a.py::test_x[b]", "a/test_a.py::test_x[c]", "z/*"]')
    found = expect.stale(expect.parse(text, "f.toml"), ["a/test_a.py::test_x[b]", "b/test_b.py::test_y"])
    assert found == [
        "f.toml:1: no case matches 'a/test_a.py::test_x[c]' (did you mean 'a/test_a.py::test_x[b]'?)",
        "f.toml:1: no case matches 'z/*'",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[expect]\n", r"f.toml: .*line 1"),
        ("# note\n\n" + entry().replace("reason", "raeson"), r"f.toml:5: expect\[0\].raeson: unknown; known are case"),
        (entry() + entry(outcome='"broken"'), r"f.toml:7: expect\[1\].outcome: 'broken': expected one of failed"),
        ('[[expect]]\ncase = "x"\n', r"f.toml:1: expect\[0\].reason: required"),
        ('[[expect]]\nreason = "x"\n', r"f.toml:1: expect\[0\].case: required"),
        (entry(case="[]"), r"f.toml:2: expect\[0\].case: the list is empty"),
        (entry(case='["x", 3]'), r"f.toml:2: expect\[0\].case\[1\]: a text is expected, not 3"),
        (entry(reason='" "'), r"f.toml:3: expect\[0\].reason: a text is expected"),
        (entry(expires='"soon"'), r"f.toml:4: expect\[0\].expires: 'soon': a date is expected, as 2027-06-30"),
        (entry(expires="3"), r"expires: 3: a date"),
        (entry(expires="2026-01-01T00:00:00"), r"expires: .*a date is expected"),
        (entry(runtime='"runc latest"'), r"f.toml:4: expect\[0\].runtime: 'latest': expected a version"),
        (entry(condition='"v1"'), r"expect\[0\].condition: a table is expected, not 'v1'"),
        (entry(condition='{ cgroup = "v3" }'), r"f.toml:4: expect\[0\].condition.cgroup: 'v3': expected one of v1, v2"),
        (entry(condition="{ cgroup = [] }"), r"condition.cgroup: "),
        (entry(condition='{ moon = "full" }'), r"condition.moon: unknown; known are cgroup, kernel, mask"),
        (entry(condition='{ kernel = "new" }'), r"condition.kernel: 'new': expected a version"),
        (entry(condition="{ kernel = 6.1 }"), r"condition.kernel: 6.1: a text is expected"),
        ("expect = 3\n", r"f.toml: expect: a list of tables"),
        ("expect = [3]\n", r"f.toml: expect\[0\]: a table is expected, not 3"),
        ("[expected]\n", r"f.toml: expected: unknown; entries are \[\[expect\]\] tables"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, complaint: str) -> None:
    with pytest.raises(EnvironmentProblem, match=complaint):
        expect.parse(text, "f.toml")


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"cannot read the expectations .*/none.toml: No such file"):
        expect.load([str(tmp_path / "none.toml")])
    with pytest.raises(EnvironmentProblem, match="no-such-runtime: No such file or directory; shipped files: "):
        expect.load(["no-such-runtime"])
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(EnvironmentProblem, match="it is not UTF-8"):
        expect.load([str(tmp_path / "latin")])
    with pytest.raises(EnvironmentProblem, match="Is a directory"):
        expect.load([str(tmp_path)])
