"""A matrix on fake machines: streaming, panics, hangs, machines that do not come up, interruption, resuming."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fake_guest
import pytest

from seatrial.conformance import machines
from seatrial.conformance.engine.collect import Case
from seatrial.conformance.matrix import part
from seatrial.conformance.matrix.axes import Cell
from seatrial.conformance.matrix.part import Terms
from seatrial.conformance.matrix.schedule import Schedule
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import read_file
from seatrial.vm.drivers.fake import FakeMachine, FakePool
from seatrial.vm.errors import BlueprintError, GuestError
from seatrial.vm.machine import Blueprint, Command, Machine, Sink

PATIENCE = 120.0
CELL = Cell("6.1", "v2", "none", "seatrial-runtime")
OTHER = Cell("5.10", "v1", "none", "seatrial-runtime")


class FragileCommand(Command):
    """A command whose exit status PANIC is the end of its machine."""

    def __init__(self, machine: FakeMachine, inner: Command) -> None:
        self.machine = machine
        self.inner = inner
        self.write, self.signal, self.resize = inner.write, inner.signal, inner.resize  # type: ignore[method-assign]

    def write(self, data: bytes) -> None: ...
    def signal(self, number: int) -> None: ...
    def resize(self, rows: int, columns: int) -> None: ...

    def wait(self, timeout: float | None, stdout: Sink, stderr: Sink) -> int:
        status = self.inner.wait(timeout, stdout, stderr)
        if status == fake_guest.PANIC:
            raise GuestError("the machine is gone", self.machine.diagnose("Kernel panic - not syncing: fake"))
        return status


class FragileMachine(FakeMachine):
    def start(self, argv: Sequence[str], **options: Any) -> Command:
        return FragileCommand(self, super().start(argv, **options))


class FragilePool(FakePool):
    def boot(self, blueprint: Blueprint) -> Machine:
        if self.failures:
            return super().boot(blueprint)
        self.booted.append(FragileMachine(blueprint, self))
        return self.booted[-1]


class Heard:
    def __init__(self) -> None:
        self.entries: list[tuple[Cell, dict[str, Any]]] = []

    def __call__(self, cell: Cell, entry: dict[str, Any]) -> None:
        self.entries.append((cell, entry))


@pytest.fixture(autouse=True)
def guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "GUEST", [sys.executable, fake_guest.__file__])
    monkeypatch.setattr(machines, "layer", dict)
    monkeypatch.setattr(machines, "image", lambda: "bookworm")


def cases(*names: str) -> list[Case]:
    return [Case(f"topic/test_{name}.py::test_{name}", ("config/hostname/1",)) for name in names]


def schedule(tmp_path: Path, found: dict[Cell, list[Case]], heard: Heard | None = None, **terms: Any) -> Schedule:
    return Schedule(found, Terms(**terms), str(tmp_path), heard or Heard())


@pytest.fixture
def pool() -> Iterator[FragilePool]:
    made = FragilePool()
    yield made
    made.close()


def outcomes(done: Schedule, cell: Cell = CELL) -> dict[str, str]:
    return {case.rpartition("_")[2]: result.outcome for case, result in done.journals[cell].done.items()}


def test_results_are_stamped_with_their_cell_as_they_come(tmp_path: Path, pool: FragilePool) -> None:
    heard = Heard()
    done = schedule(tmp_path, {CELL: cases("a", "fail"), OTHER: cases("a")}, heard)
    done.run(lambda: pool, 1)
    assert outcomes(done) == {"a": "passed", "fail": "failed"}
    run = done.runs()[0]
    assert run.stamp["cell"] == {"kernel": "6.1", "cgroup": "v2", "mask": "none", "runtime": "seatrial-runtime"}
    assert run.stamp["machine"]["driver"] == "fake"
    assert (run.planned - len(run.results), run.exit_status()) == (0, outcome.FOUND)
    kinds = [entry["kind"] for cell, entry in heard.entries if cell == CELL]
    assert kinds == ["stamp", "plan", "start", "result", "start", "result", "end"]
    assert [machine.blueprint.cgroup for machine in pool.booted] == ["v2", "v1"]


def test_evidence_is_fetched_from_the_machine(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("fail")})
    done.run(lambda: pool, 1)
    (result,) = done.runs()[0].results
    assert result.evidence is not None
    assert os.path.isdir(result.evidence)
    assert result.evidence.startswith(str(tmp_path))


def test_panic_is_the_environment_and_the_rest_runs_in_another_machine(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("a", "panic", "b", "c")})
    done.run(lambda: pool, 1)
    assert outcomes(done) == {"a": "passed", "panic": "environment-error", "b": "passed", "c": "passed"}
    result = done.journals[CELL].done["topic/test_panic.py::test_panic"]
    assert result.reason.startswith("the machine was lost while this case ran: Kernel panic - not syncing")
    assert result.evidence is not None
    assert "fake console" in Path(result.evidence, "console.txt").read_text()
    assert len(pool.booted) == 2
    assert done.runs()[0].exit_status() == outcome.ENVIRONMENT


def test_machine_that_says_nothing_hangs(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("hang", "a")}, silence=5.0)
    done.run(lambda: pool, 1)
    assert outcomes(done) == {"hang": "environment-error", "a": "passed"}
    assert "nothing was heard for 5 s" in done.journals[CELL].done["topic/test_hang.py::test_hang"].reason


def test_check_that_falls_over_is_a_bug_of_the_case_that_ran(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("break", "a")})
    done.run(lambda: pool, 1)
    assert outcomes(done) == {"break": "harness-bug", "a": "passed"}
    assert "pytest fell over" in done.journals[CELL].done["topic/test_break.py::test_break"].reason


def test_case_that_the_machine_does_not_collect_is_a_bug(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("lost", "a")})
    done.run(lambda: pool, 1)
    assert outcomes(done) == {"lost": "harness-bug", "a": "passed"}


def test_machine_that_never_comes_up_is_given_up(tmp_path: Path, pool: FragilePool) -> None:
    pool.failures = ["boot"] * part.FRUITLESS
    done = schedule(tmp_path, {CELL: cases("a"), OTHER: cases("a")})
    done.run(lambda: pool, 1)
    assert (outcomes(done), outcomes(done, OTHER)) == ({}, {"a": "passed"})
    assert "Kernel panic" in done.journals[CELL].trouble[0].reason


def test_host_that_has_no_such_machine_is_told_of_each_cell(tmp_path: Path) -> None:
    class NoPool(FakePool):
        def boot(self, blueprint: Blueprint) -> Machine:
            raise BlueprintError("no such kernel")

    done = schedule(tmp_path, {CELL: cases("a"), OTHER: cases("a")})
    done.run(NoPool, 2)
    for cell in (CELL, OTHER):
        assert [result.reason for result in done.journals[cell].trouble] == ["no such kernel"]


def test_one_cell_is_cut_for_several_machines(tmp_path: Path) -> None:
    done = schedule(tmp_path, {CELL: cases(*(f"slow{number}" for number in range(24)))})
    pools: list[FragilePool] = []

    def make() -> FragilePool:
        pools.append(FragilePool())
        return pools[-1]

    done.run(make, 2)
    assert len(outcomes(done)) == 24
    assert [len(made.booted) for made in pools] == [1, 1]
    assert len(done.runs()[0].results) == 24


def test_interrupted_matrix_leaves_no_machine_and_goes_on(tmp_path: Path, pool: FragilePool) -> None:
    found = {CELL: cases("a", "hang"), OTHER: cases("b")}
    first = schedule(tmp_path, found)
    interrupted = threading.Event()

    def tell(_cell: Cell, entry: dict[str, Any]) -> None:
        if entry["kind"] == "start" and "hang" in entry["case"]:
            interrupted.set()

    first.tell = tell

    def sleep(_seconds: float) -> None:
        if interrupted.wait(0.01):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seatrial.conformance.matrix.schedule.time.sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            first.run(lambda: pool, 1)
    assert all(not os.path.exists(machine.root) for machine in pool.booted)
    assert outcomes(first) == {"a": "passed"}

    found[CELL] = cases("a", "hang")
    with open(tmp_path / "6.1-v2-seatrial-runtime.jsonl", "a", encoding="utf-8") as file:
        file.write('{"kind": "resu')  # killed in the middle of a line
    second = schedule(tmp_path, found, silence=5.0)
    assert [case.id for case in second.left(CELL)] == ["topic/test_hang.py::test_hang"]
    second.run(lambda: pool, 1)
    assert outcomes(second) == {"a": "passed", "hang": "environment-error"}
    assert outcomes(second, OTHER) == {"b": "passed"}
    assert not second.left(CELL)
    third = schedule(tmp_path, found)
    booted = len(pool.booted)
    third.run(lambda: pool, 1)
    assert len(pool.booted) == booted


def test_journal_is_a_results_file(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("a", "fail")})
    done.run(lambda: pool, 1)
    path = tmp_path / "6.1-v2-seatrial-runtime.jsonl"
    (run,) = read_file(str(path))
    assert [result.outcome for result in run.results] == ["passed", "failed"]
    assert run.results[1].evidence == done.runs()[0].results[1].evidence
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["case"] for entry in entries if entry["kind"] == "start"] == [case.id for case in cases("a", "fail")]


def test_hanging_machine_does_not_keep_an_interrupted_matrix(tmp_path: Path, pool: FragilePool) -> None:
    done = schedule(tmp_path, {CELL: cases("hang")})
    began = time.monotonic()

    def sleep(_seconds: float) -> None:
        if pool.booted and pool.booted[0].commands:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seatrial.conformance.matrix.schedule.time.sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            done.run(lambda: pool, 1)
    assert time.monotonic() - began < PATIENCE
