"""What a matrix is made of: cells, shares of the suite, runtimes of this host, the plan on disk, the command line."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_guest
import pytest

from seatrial.conformance import cli, machines
from seatrial.conformance.engine.collect import Case
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.matrix import axes, binary, bytecode, live, part, plan, schedule, split
from seatrial.conformance.matrix.axes import Cell
from seatrial.conformance.matrix.plan import Plan

CELL = Cell("6.1", "v2", "none", "runc")


def suite(*sizes: int) -> list[Case]:
    return [Case(f"t/test_{file}.py::test[{number}]", ()) for file, size in enumerate(sizes) for number in range(size)]


def test_cells_are_the_product_of_the_axes() -> None:
    found = axes.cells(["5.10", "6.1"], ["v1", "v2"], ["none", "no-clone3+no-pidfd"], ["reference", "runc"])
    assert len(found) == len(set(found)) == 16
    assert found[0] == Cell("5.10", "v1", "none", "seatrial-runtime")
    assert found[-1].masks == ("no-clone3", "no-pidfd")
    assert len({axes.slug(cell, found) for cell in found}) == 16


def test_runtimes_of_one_name_have_files_of_their_own() -> None:
    cells = [replace(CELL, runtime="/a/runc"), replace(CELL, runtime="/b/runc")]
    assert [axes.slug(cell, cells) for cell in cells] == ["6.1-v2-runc-1", "6.1-v2-runc-2"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("6.1", "v3", "none", "runc"), "--cgroup v3"),
        (("6.1", "v2", "no-clone4", "runc"), "no mask"),
        (("6.1", "v2", "linux-7.0", "runc"), "a mask makes none newer"),
        (("six", "v2", "none", "runc"), "kernel 'six'"),
        (("6.1", "v2", "none", "/no/such/runc"), "no runtime at"),
    ],
)
def test_cells_that_make_no_sense(given: tuple[str, str, str, str], said: str) -> None:
    with pytest.raises(EnvironmentProblem, match=said):
        axes.cells(*([word] for word in given))


def test_mask_is_held_against_the_kernel_of_its_cell() -> None:
    assert axes.cells(["7.2"], ["v2"], ["linux-7.0"], ["runc"])


@pytest.mark.parametrize("hands", [1, 2, 7, 24])
def test_every_case_is_dealt_once_to_parts_of_about_the_same_length(hands: int) -> None:
    cases = suite(1, 40, 3, 100, 7, 12, 30)
    dealt = split.deal(cases, hands)
    assert sorted(case.id for hand in dealt for case in hand) == sorted(case.id for case in cases)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= split.BLOCK
    order = {case.id: number for number, case in enumerate(cases)}
    for hand in dealt:
        assert [order[case.id] for case in hand] == sorted(order[case.id] for case in hand)


@pytest.mark.parametrize("places", [1, 3, 12, 24, 30])
@pytest.mark.parametrize("parts", [1, 2, 7, 24])
def test_rounds_bring_every_part_to_every_place(places: int, parts: int) -> None:
    step = plan.stride(places, parts)
    assert {(round * step) % parts for round in range(parts)} == set(range(parts))
    assert step >= places


def test_share_of_a_cell_is_the_same_for_all_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = suite(*[5] * 20)
    monkeypatch.setattr(plan, "collect", lambda *_: cases)
    cells = axes.cells(["5.10", "6.1"], ["v1", "v2"], ["none"], ["reference", "runc"])
    shares = Plan(tuple(cells), spread=10, round=3).cases()
    by_place: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for cell, share in shares.items():
        by_place.setdefault((cell.kernel, cell.cgroup), set()).add(tuple(case.id for case in share))
    assert all(len(found) == 1 for found in by_place.values())
    assert len({next(iter(found)) for found in by_place.values()}) == 4
    assert shares != Plan(tuple(cells), spread=10, round=4).cases()


def test_plan_survives_its_file(tmp_path: Path) -> None:
    kept = Plan((CELL,), "runc-compat", "x", None, 4, 2, 30.0, 100.0, 512, ("runc-1.1",), {"/x": "sha256:1"})
    kept.store(str(tmp_path / "new"))
    assert plan.load(str(tmp_path / "new")) == kept
    with pytest.raises(EnvironmentProblem, match="--resume"):
        kept.store(str(tmp_path / "new"))
    with pytest.raises(EnvironmentProblem, match="no matrix to resume"):
        plan.load(str(tmp_path))
    (tmp_path / plan.FILE).write_text('{"format": 1, "cells": 3}')
    with pytest.raises(EnvironmentProblem, match="not the plan of a matrix"):
        plan.load(str(tmp_path))


# -- runtimes of this host ---------------------------------------------------------------------------------------------


def test_program_comes_with_what_it_links_to(tmp_path: Path) -> None:
    found = binary.examine("/bin/ls")
    assert os.path.basename(found.loader).startswith("ld-linux")
    assert "libc.so.6" in found.libraries
    layer = found.layer(str(tmp_path))
    assert layer[found.plain] == os.path.realpath("/bin/ls")
    if shutil.which("patchelf") is None:
        pytest.skip("program:patchelf: not installed")
    assert layer[f"{found.place}/lib/libc.so.6"] == os.path.realpath(found.libraries["libc.so.6"])
    copy = layer[found.relocated]
    assert binary.interpreter(copy) == f"{found.place}/lib/{os.path.basename(found.loader)}"
    assert binary.digest(copy) != found.digest == binary.digest("/bin/ls")


def test_script_comes_alone(tmp_path: Path) -> None:
    script = tmp_path / "runtime"
    script.write_text("#!/bin/sh\necho fake 1\n")
    script.chmod(0o755)
    found = binary.examine(str(script))
    assert (found.loader, found.libraries) == ("", {})
    assert list(found.layer(str(tmp_path))) == [found.plain]


def test_library_that_is_missing_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, "\tlibno.so.1 => not found\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(EnvironmentProblem, match=r"libno\.so\.1"):
        binary.libraries("/x", "/loader")


@pytest.mark.parametrize(("plain", "relocated", "chosen"), [(0, 0, "plain"), (1, 0, "relocated"), (1, 1, None)])
def test_machine_chooses_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: int, relocated: int, chosen: str | None
) -> None:
    monkeypatch.setattr(binary, "BASE", str(tmp_path))
    found = binary.Binary("/usr/bin/a runtime", "sha256:" + "a" * 64, "/ld", {})
    for path, status in ((found.plain, plain), (found.relocated, relocated)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_text(f"#!/bin/sh\necho told >&2\nexit {status}\n")
        os.chmod(path, stat.S_IRWXU)
    done = subprocess.run(["sh", "-c", found.choice()], capture_output=True, text=True)
    assert (done.returncode == 0) == (chosen is not None)
    assert done.stdout.strip() == (getattr(found, chosen) if chosen else "")


def test_rewritten_bytecode_names_its_source_in_the_machine(tmp_path: Path) -> None:
    source = tmp_path / "here/test_x.py"
    source.parent.mkdir()
    code = compile("def f():\n    def g(): pass\n", str(source), "exec")
    before = tmp_path / "test_x.cpython-3-pytest-9.pyc"
    import marshal

    before.write_bytes(b"h" * bytecode.HEADER + marshal.dumps(code))
    bytecode._place(str(before), str(tmp_path / "after.pyc"), str(source.parent), "/inside")
    data = (tmp_path / "after.pyc").read_bytes()
    found = marshal.loads(data[bytecode.HEADER :])
    inner = next(one for one in found.co_consts if hasattr(one, "co_filename"))
    assert data[: bytecode.HEADER] == b"h" * bytecode.HEADER
    assert {found.co_filename, inner.co_filename} == {"/inside/test_x.py"}


# -- the terminal and the command line ---------------------------------------------------------------------------------


def test_terminal_has_a_line_for_each_finding_and_each_finished_cell() -> None:
    stream = io.StringIO()
    shown = live.Live({CELL: 2}, 1, stream)
    shown.hear(CELL, {"kind": "stamp"})
    shown.hear(CELL, {"kind": "result", "case": "a/test_a.py::test_x", "outcome": "failed", "reason": "wrong\nmore"})
    shown.hear(CELL, {"kind": "result", "case": "a/test_a.py::test_y", "outcome": "passed", "reason": ""})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  failed: 6.1 v2 runc: a/test_a.py::test_x: wrong"
    assert lines[1].startswith("6.1 v2 runc")
    assert "2 cases: 1 passed, 1 failed" in lines[1]


def test_durations_for_people() -> None:
    assert [live.duration(value) for value in (12, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 05 min"]


def test_machines_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for available, wanted in ((100_000, 8), (7000, 3), (10, 1), (0, 8)):
        monkeypatch.setattr(schedule, "_available", lambda available=available: available)
        assert schedule.capacity(2000) == wanted


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line with fake machines and a suite of three cases."""
    monkeypatch.setattr(part, "GUEST", [sys.executable, fake_guest.__file__])
    monkeypatch.setattr(machines, "layer", dict)
    monkeypatch.setattr(machines, "image", lambda: "bookworm")
    names = ("a", "fail", "b")
    monkeypatch.setattr(plan, "collect", lambda *_: [Case(f"t/test_{name}.py::test_{name}", ()) for name in names])
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> int:
    return cli.main(["matrix", "--driver", "fake", *arguments])


@pytest.mark.usefixtures("fake")
def test_command_runs_reports_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = ["--report", "json=all.jsonl", "--report", "junit=all.xml", "--report", "html=all.html"]
    assert call("--kernel", "5.10,6.1", "--cgroup", "v1,v2", "-n", "1", "--directory", "d", *reports) == 1
    said = capsys.readouterr().out
    assert "4 cells, 12 cases, 1 machines at once; results in d" in said
    assert said.count("2 passed, 1 failed") >= 4
    stamps = [
        entry for line in Path("all.jsonl").read_text().splitlines() if (entry := json.loads(line))["kind"] == "stamp"
    ]
    assert [stamp["cell"]["kernel"] for stamp in stamps] == ["5.10", "5.10", "6.1", "6.1"]
    assert Path("all.html").stat().st_size > 1000
    assert "test_fail" in Path("all.xml").read_text()

    os.remove("d/6.1-v2-seatrial-runtime.jsonl")
    assert call("--resume", "--directory", "d") == 1
    assert "4 cells, 3 of 12 cases" in capsys.readouterr().out
    assert call("--resume", "--directory", "d", "--profile", "runc-compat") == 2
    assert "profile was another then" in capsys.readouterr().err
    assert call("--resume", "--directory", "d", "--kernel", "6.1") == 2
    assert call("--directory", "d") == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
def test_newest_matrix_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--resume") == 2
    assert "no matrix to resume" in capsys.readouterr().err
    assert call() == 1
    assert call("--resume") == 1
    assert "1 cells, 0 of 3 cases" in capsys.readouterr().out


@pytest.mark.usefixtures("fake")
def test_criu_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in the plan by its path and digest, and takes the place of the image's.  (A fake machine has no layers: one
    is played by what is there already.)"""
    program, there = tmp_path / "criu", tmp_path / "there"
    program.write_text("#!/bin/sh\necho Version: 4.2\n")
    program.chmod(0o755)
    monkeypatch.setattr(part, "CRIU", str(there))
    monkeypatch.setattr(binary, "BASE", str(tmp_path / "opt"))
    assert call("--criu", "./criu", "--directory", "without") == 2
    assert f"{program} does not run in the machine" in capsys.readouterr().out
    found = binary.examine(str(program))
    os.makedirs(found.place)
    shutil.copy(program, found.plain)
    assert call("--criu", "./criu", "--directory", "d") == 1
    assert os.readlink(there) == found.plain
    kept = plan.load("d")
    assert (kept.criu, kept.digests) == (str(program), {str(program): found.digest})
    stamp = json.loads(Path("d/6.1-v2-seatrial-runtime.jsonl").read_text().splitlines()[0])
    assert stamp["criu"] == {"path": str(program), "digest": found.digest}
    program.write_text("#!/bin/sh\n")
    assert call("--resume", "--directory", "d") == 2
    assert "another binary than when this matrix began" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
def test_list_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--preset", "reference", "--list") == 0
    said = capsys.readouterr().out
    assert "24 cells" in said
    assert "under software emulation" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    "wrong",
    [
        ["--cgroup", "v3"],
        ["--kernel", "x"],
        ["--runtime", "/nowhere"],
        ["--criu", "/nowhere"],
        ["--expect", "/nowhere"],
        ["--report", "json=/no/x"],
    ],
)
def test_mistakes_are_told_before_anything_runs(wrong: list[str], tmp_path: Path, capsys: Any) -> None:
    assert call(*wrong) == 2
    assert capsys.readouterr().err.startswith("seatrial: ")
    assert list(tmp_path.iterdir()) == []
