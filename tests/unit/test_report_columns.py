"""Which runs become one column of a report, and what their cases come to there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import run_samples

from seatrial.conformance import cli
from seatrial.conformance.report.columns import columns, merge
from seatrial.conformance.report.pages import column_labels
from seatrial.conformance.report.views import view
from seatrial.conformance.verdict import results
from seatrial.conformance.verdict.results import Run


def run(*outcomes: tuple[str, str], started: str = "2026-01-02T03:04:05Z", **changes: object) -> Run:
    made = [run_samples.result(case, found, "config/hostname/1") for case, found in outcomes]
    return Run(
        run_samples.stamp(started=started, **changes), made, len(made), {"seconds": 1.0}, f"{started[:10]}.jsonl"
    )


def test_shards_are_one_column() -> None:
    [column] = columns([run(("a", "passed"), ("b", "failed")), run(("c", "skipped"))])
    assert [result.case for result in column.run.results] == ["a", "b", "c"]
    assert column.run.end == {"seconds": 2.0}
    assert column.notes == ["2 runs in one column: 2026-01-02.jsonl"]


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "runc-compat"},
        {"privilege": "rootless"},
        {"cgroup": {"view": "v2", "controllers": [], "manager": "cgroupfs"}},
        {"host": {"kernel": "5.10.0", "machine": "x86_64"}},
        {"masks": ["no-clone3"]},
        {"accelerator": "tcg"},
        {"spec": "1.2.0"},
        {"runtime": run_samples.runtime("thing 1.0", "b")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_environment_or_binary_is_another_column(changes: dict[str, object]) -> None:
    found = columns([run(("a", "passed")), run(("a", "passed"), **changes)])
    assert len(found) == 2
    (_, first), (_, second) = column_labels(found)
    assert first != second


def test_no_masks_and_an_empty_list_of_masks_are_the_same() -> None:
    assert len(columns([run(("a", "passed")), run(("b", "passed"), masks=[])])) == 1


@pytest.mark.parametrize(
    ("outcomes", "merged"),
    [
        (["passed"], "passed"),
        (["skipped", "passed"], "passed"),
        (["passed", "skipped"], "passed"),
        (["passed", "environment-error"], "passed"),
        (["failed", "harness-bug"], "failed"),
        (["failed", "expected-failure"], "expected-failure"),
        (["unexpected-pass", "passed"], "passed"),
        (["passed", "failed"], "flaky"),
        (["expected-failure", "unexpected-pass"], "flaky"),
        (["flaky", "passed"], "flaky"),
        (["skipped", "environment-error"], "environment-error"),
    ],
)
def test_results_of_one_case_count_once(outcomes: list[str], merged: str) -> None:
    assert merge([run_samples.result("a", found) for found in outcomes]).outcome == merged


def test_repetitions_that_disagree_are_told_whatever_their_order() -> None:
    late, early = run(("a", "passed"), started="2026-01-03T00:00:00Z"), run(("a", "failed"))
    [column] = columns([late, early])
    assert column.run.results[0].outcome == "flaky"
    assert column.run.results[0].reason == "passed in 1 of 2 runs; otherwise: why failed"
    assert column.notes[-1] == "1 cases have several results: the newest counts; 1 disagree and count as flaky"
    assert column.run.stamp["started"] == "2026-01-03T00:00:00Z"


def test_hosts_that_differ_within_a_column_are_told() -> None:
    host = {**run_samples.stamp()["host"], "capabilities": "000001fffeffffff"}
    [column] = columns([run(("a", "passed")), run(("b", "passed"), host=host)])
    assert "different hosts' capabilities among them: unknown | 000001fffeffffff" in column.notes


def test_other_releases_of_the_spec_are_told() -> None:
    made = run(("a", "passed"), spec="1.9.0")
    made.results.append(run_samples.result("b", "failed", "config/quantum/1"))
    [column] = columns([made])
    assert column.notes[0].startswith("tested against runtime-spec 1.9.0; this report has the requirements of 1.3.0")
    assert column.notes[1] == "1 requirements that this ledger does not have, such as config/quantum/1"
    assert '<tr id="config/quantum/1">' in view([made], "html", "x")


def write(path: Path, made: Run, *, lines: int | None = None, tail: str = "") -> str:
    text = view([made], "json", "x").splitlines(keepends=True)
    path.write_text("".join(text[:lines]) + tail)
    return str(path)


def test_truncated_and_interrupted_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(("a", "passed"), ("b", "passed"), ("c", "passed"))
    whole = write(tmp_path / "whole.jsonl", made)
    cut = write(tmp_path / "cut.jsonl", made, lines=3, tail='{"kind": "result", "ca')
    interrupted = write(tmp_path / "interrupted.jsonl", made, lines=4)
    page = str(tmp_path / "page.html")
    assert cli.main(["report", whole, "-o", page]) == 0
    assert cli.main(["report", cut, "-o", page]) == 2
    assert "the file ends in the middle of a line after 1 results, 2 of 3 planned cases are missing" in (
        capsys.readouterr().out
    )
    assert cli.main(["report", interrupted, "-o", page]) == 2
    sentence = "the run was interrupted after 2 results (no end line), 1 of 3 planned cases are missing"
    assert sentence in capsys.readouterr().out
    assert sentence in Path(page).read_text()


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "broken.jsonl", run(("a", "passed")), lines=2, tail='{"kind": "result", "ca\n{}\n')
    assert cli.main(["report", path]) == 2
    assert "broken.jsonl:3: not a seatrial results line" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'{"kind": "end", "seconds": 1}\n'])
def test_files_without_a_run_are_an_error(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    assert cli.main(["report", str(tmp_path / "x.jsonl")]) == 2
    assert "x.jsonl" in capsys.readouterr().err


def test_a_bare_stamp_makes_a_report(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"kind": "stamp"}\n')
    forms = [word for form in ("html", "junit", "tap", "json") for word in ("--report", f"{form}={tmp_path}/{form}")]
    assert cli.main(["report", str(tmp_path / "x.jsonl"), *forms]) == 2
    assert "unknown runtime" in (tmp_path / "html").read_text()


def test_report_names_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = write(tmp_path / "one.jsonl", run(("a", "passed")))
    other = write(tmp_path / "other.jsonl", run(("a", "passed"), masks=["no-clone3"]))
    assert cli.main(["report", one, other]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "html          seatrial-report.html"
    page = (tmp_path / "seatrial-report.html").read_text()
    assert "Runtimes compared" in page
    assert "masks no-clone3" in page


def test_members_of_later_releases_are_ignored() -> None:
    line = {"kind": "result", **json.loads(run_samples.result("a", "passed").line()), "mood": "splendid"}
    [found] = results.read([json.dumps({"kind": "stamp"}), json.dumps(line)])
    assert found.results[0].case == "a"


def test_evidence_is_found_where_it_was_moved_together_with_the_results(tmp_path: Path) -> None:
    moved = tmp_path / "conformance-0" / "evidence" / "20260102-1" / "case"
    moved.mkdir(parents=True)
    made = run()
    made.source = str(tmp_path / "conformance-0" / "results.jsonl")
    recorded = "/home/runner/work/project/conformance-results/evidence/20260102-1/case"
    made.results += [
        run_samples.result("a", "failed", "config/hostname/1", evidence=recorded),
        run_samples.result("b", "failed", "config/hostname/1", evidence="/no/such/../../place\x00"),
    ]
    [column] = columns([made])
    assert [result.evidence for result in column.run.results] == [str(moved), "/no/such/../../place\x00"]
    page = view([made], "html", str(tmp_path / "page.html"))
    assert '"./conformance-0/evidence/20260102-1/case/"' in page


def test_hostile_text_reaches_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "hostile.jsonl", run_samples.hostile())
    assert cli.main(["report", path, "-o", str(tmp_path / "page.html")]) == 3
    printed = capsys.readouterr().out
    assert "\\x1b[31mred" in printed
    assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(printed)
