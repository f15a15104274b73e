"""The gating options of `seatrial check`, as a pipeline uses them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.conformance.engine.collect import collect

NARROW = ("-k", "test_state_of", "-n", "1")


def check(directory: Path, *options: str, runtime: str | None = "/bin/false") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seatrial.conformance.cli", "check", *options]
    if runtime:
        command += ["--runtime", runtime]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def listed(*options: str) -> list[str]:
    command = [sys.executable, "-m", "seatrial.conformance.cli", "check", "--list", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("  ")[0] for line in done.stdout.splitlines()]


def test_baseline_is_a_ratchet(tmp_path: Path) -> None:
    first = check(tmp_path, *NARROW, "--write-expect", "known.toml")
    assert first.returncode == 0, first.stdout + first.stderr
    assert " cases added, 0 removed, 0 kept" in first.stdout
    text = (tmp_path / "known.toml").read_text()
    again = check(tmp_path, *NARROW, "--expect", "known.toml", "--report", "json=out.jsonl")
    assert again.returncode == 0, again.stdout + again.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["outcome"] for line in lines if line["kind"] == "result"} == {"expected-failure"}
    # The runtime is repaired: the file says otherwise.
    better = text.replace('runtime = "false"', "")
    (tmp_path / "known.toml").write_text(better)
    repaired = check(tmp_path, *NARROW, "--expect", "known.toml", runtime=None)
    assert repaired.returncode == 1
    assert "unexpected-pass: lifecycle/test_state.py" in repaired.stdout
    forward = check(tmp_path, *NARROW, "--expect", "known.toml", "--write-expect", "known.toml", runtime=None)
    assert forward.returncode == 0, forward.stdout
    assert "[[expect]]" not in (tmp_path / "known.toml").read_text()
    assert check(tmp_path, *NARROW, "--expect", "known.toml").returncode == 1  # and never back


def test_mistake_in_a_file_stops_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text('[[expect]]\ncase = "a"\n')
    done = check(tmp_path, "--expect", "known.toml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "seatrial: known.toml:1: expect[0].reason: required: why is this failure acceptable?\n"
    done = check(tmp_path, "--expect", "runk")
    assert done.returncode == 2
    assert "cannot read the expectations runk: No such file or directory; shipped files: " in done.stderr
    assert check(tmp_path, "--write-expect", "no/dir.toml").returncode == 2


def test_entry_about_no_case_fails_the_run_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text('[[expect]]\ncase = "lifecycle/test_stat.py::*"\nreason = "old"\n')
    done = check(tmp_path, *NARROW, "--expect", "known.toml", runtime=None)
    assert done.returncode == 2
    assert "known.toml:1: no case matches 'lifecycle/test_stat.py::*'" in done.stdout
    assert " passed" in done.stdout


def test_minimum_of_executed_cases(tmp_path: Path) -> None:
    cases = len(listed("-k", "test_state_of"))
    assert check(tmp_path, *NARROW, "--min-executed", "100%", runtime=None).returncode == 0
    done = check(tmp_path, *NARROW, "--min-executed", str(cases + 1), runtime=None)
    assert done.returncode == 2
    assert f"{cases} cases were executed, --min-executed asks for {cases + 1}" in done.stdout


def test_first_finding_and_last_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ("-k", "test_state_of or test_delete_refuses", "-n", "1")
    stopped = check(tmp_path, *options, "-x")
    assert stopped.returncode == 1
    assert "cases         1: 1 failed" in stopped.stdout
    assert "stopped" in stopped.stdout
    last = check(tmp_path, *options, "--lf")
    assert last.returncode == 1
    assert "cases         1: 1 failed" in last.stdout
    two = check(tmp_path, "-k", "test_state_of or test_delete_refuses", "-n", "2", "--maxfail", "2")
    assert two.returncode == 1


def test_repeated_cases_have_one_result(tmp_path: Path) -> None:
    done = check(tmp_path, *NARROW, "--repeat", "2", "--report", "json=out.jsonl", runtime=None)
    assert done.returncode == 0, done.stdout
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(line["case"] for line in lines if line["kind"] == "result") == sorted(listed("-k", "test_state_of"))


def test_skips_fail_on_request(tmp_path: Path) -> None:
    skipping = ("-k", "test_rdma", "-n", "1", "--fail-on-skip")
    done = check(tmp_path, *skipping, "--report", "json=out.jsonl", runtime=None)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    skipped = [line["case"] for line in lines if line.get("outcome") == "skipped"]
    if not skipped:
        pytest.skip("this host has an RDMA device")
    assert done.returncode in (1, 2)  # 2 if nothing else was executed
    entries = "".join(f'[[expect]]\ncase = "{name}"\noutcome = "skipped"\nreason = "no RDMA"\n' for name in skipped)
    (tmp_path / "skips.toml").write_text(entries)
    both = ("-k", "test_rdma or test_state_of", "-n", "1", "--fail-on-skip")
    assert check(tmp_path, *both, runtime=None).returncode == 1
    excused = check(tmp_path, *both, "--expect", "skips.toml", runtime=None)
    assert excused.returncode == 0, excused.stdout


def test_shards_part_the_suite() -> None:
    whole = [case.id for case in collect("runc-compat")]
    parts = [[case.id for case in collect("runc-compat", None, f"{number}/3")] for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(whole)
    assert all(len(part) > len(whole) / 6 for part in parts)
    narrow = listed("-k", "test_kill", "--shard", "2/3")
    assert set(narrow) == {case.id for case in collect("spec", "test_kill")} & set(listed("--shard", "2/3"))
    assert narrow


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--timeout", "0"], "--timeout: 0: seconds above 0 are expected"),
        (["--timeout", "inf"], "seconds above 0"),
        (["--timeout", "soon"], "seconds above 0"),
        (["--shard", "0/2"], "expected I/N with 1 <= I <= N"),
        (["--shard", "3/2"], "expected I/N with 1 <= I <= N"),
        (["--repeat", "0"], "a number above 0"),
        (["--maxfail", "-1"], "a number above 0"),
        (["--min-executed", "101%"], "a number of cases or a percentage"),
        (["--list", "-k", "no_such_case_anywhere"], "no case matches the selection"),
        (["--list", "-k", "and and"], "-k and and"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: list[str], complaint: str) -> None:
    done = check(tmp_path, *options)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
