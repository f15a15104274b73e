"""The warm reference runtime is the command that it stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial.conformance.driver.bundle import Workshop
from seatrial.conformance.driver.driver import Runtime, default_runtime
from seatrial.conformance.driver.warm import WarmRuntime, is_reference
from seatrial.conformance.errors import RuntimeTimeout

SECONDS = 60.0


def workshop(directory: Path) -> Workshop:
    return Workshop(str(directory / "bundles"), f"st-{os.getpid()}")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Runtime, Runtime]:
    """The warm one and a cold one, with a state directory each."""
    opened = []
    for kind in (WarmRuntime, Runtime):
        directory = tmp_path / str(kind is WarmRuntime)
        directory.mkdir()
        opened.append(kind(default_runtime(), str(directory), workshop(directory), timeout=SECONDS))
    return opened[0], opened[1]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["features"], 0),
        (["--version"], 0),
        (["run", "--help"], 0),
        (["state", "none"], 1),
        (["frobnicate"], 1),
        (["exec", "none", "true"], 255),
    ],
)
def test_answers_are_the_same(pair: tuple[Runtime, Runtime], words: list[str], status: int) -> None:
    for _ in range(2):  # a command leaves nothing for the next
        warm, cold = (one.command(*words) for one in pair)
        assert (warm.status, warm.stdout) == (cold.status, cold.stdout)
        assert warm.status == status
        assert warm.stderr.replace("True", "False") == cold.stderr


def test_a_command_has_its_own_directory(pair: tuple[Runtime, Runtime], tmp_path: Path) -> None:
    warm, _ = pair
    before = os.getcwd()
    assert warm.command("spec", cwd=str(tmp_path), root=False).ok
    assert (tmp_path / "config.json").exists()
    assert os.getcwd() == before
    again = warm.command("spec", cwd=str(tmp_path), root=False)
    assert not again.ok  # it spares a config.json that is there: the directory was the same


def test_a_command_that_hangs_is_killed(pair: tuple[Runtime, Runtime], tmp_path: Path) -> None:
    warm, _ = pair
    reader, writer = os.pipe()  # whose end does not come
    with pytest.raises(RuntimeTimeout):
        warm.command("update", "--resources", "-", "none", stdin=reader, timeout=1.0)
    assert warm.journal[-1].status == -9
    assert warm.command("--version").ok
    for number in (reader, writer):
        os.close(number)


def test_its_process_ends_with_it(tmp_path: Path) -> None:
    warm = WarmRuntime(default_runtime(), str(tmp_path), workshop(tmp_path), timeout=SECONDS)
    process = warm.warm.process
    assert process.poll() is None
    del warm
    assert process.poll() == 0


def test_other_runtimes_are_not_the_reference() -> None:
    assert is_reference(default_runtime())
    assert not is_reference("/bin/true")
