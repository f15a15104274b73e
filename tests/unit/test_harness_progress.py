"""What people see in the terminal."""

from __future__ import annotations

import io
from typing import Any

from seatrial.conformance.engine import progress
from seatrial.conformance.verdict.results import CaseResult, Run

STAMP: dict[str, Any] = {
    "kind": "stamp",
    "spec": "1.3.0",
    "profile": "spec",
    "runtime": {"path": "/usr/bin/thing", "digest": "sha256:0123456789abcdef", "name": "thing 1.0"},
    "privilege": "root",
    "cgroup": {"view": "v1"},
    "airlock": True,
    "host": {"kernel": "6.1.0"},
}


def entry(case: str, outcome: str, reason: str = "") -> dict[str, Any]:
    return {"kind": "result", "case": case, "outcome": outcome, "reason": reason}


def test_plain_output_has_a_line_for_each_finished_topic_and_each_failure() -> None:
    stream = io.StringIO()
    shown = progress.Progress(stream)
    shown.hear(STAMP)
    shown.hear({"kind": "plan", "cases": 3, "topics": {"root": 2, "hooks": 1}})
    shown.hear(entry("root/test_a.py::test_x", "passed"))
    shown.hear(entry("hooks/test_b.py::test_y", "failed", "it is [bold]wrong\nmore"))
    shown.hear(entry("root/test_a.py::test_z", "skipped", "tty: none"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "thing 1.0  /usr/bin/thing  sha256:0123456789ab"
    assert "cgroup v1, kernel 6.1.0, in the airlock" in lines[1]
    assert lines[2:] == [
        "  failed: hooks/test_b.py::test_y: it is [bold]wrong",
        "hooks               1 cases: 1 failed",
        "root                2 cases: 1 passed, 1 skipped",
    ]


def test_summary_counts_requirements_and_names_the_replay() -> None:
    run = Run(
        STAMP,
        [
            CaseResult("a/test_a.py::test_x", ("config/hostname/1",), "passed", "spec", "", 1.0, 0.5, None),
            CaseResult(
                "a/test_a.py::test_y", ("config/hostname/2",), "failed", "spec", "wrong\nvery", 1.0, 0.5, "/e/y"
            ),
        ],
        end={"seconds": 2.0, "workers": 2},
    )
    stream = io.StringIO()
    progress.print_summary(run, stream)
    lines = stream.getvalue().splitlines()
    assert "config.md#hostname                                                1        1    ·        ·" in lines
    assert lines[lines.index("failed: a/test_a.py::test_y") + 1 :][:4] == [
        "    wrong",
        "    very",
        "    covers config/hostname/2",
        "    seatrial replay /e/y",
    ]
    assert "cases         2: 1 passed, 1 failed" in lines
    assert "requirements  987: 1 verified, 1 violated, 985 untested" in lines
    assert "time          2.0 s with 2 workers: 25 % of their time inside the runtime, 75 % outside" in lines


def test_summary_says_when_nothing_can_work() -> None:
    reason = f"{progress.INSANE}: thing create: exit status 1: no luck"
    run = Run(STAMP, [CaseResult("a/test_a.py::test_x", ("config/hostname/1",), "failed", "spec", reason, 1, 1, None)])
    stream = io.StringIO()
    progress.print_summary(run, stream)
    lines = stream.getvalue().splitlines()
    assert f"note          {reason}" in lines
    assert "time          unknown: the run did not come to its end" in lines
