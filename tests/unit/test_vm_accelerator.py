"""The trial of KVM, with programs that take QEMU's place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from seatrial.vm.qemu import accelerator

PROGRAMS = {
    "works": f"echo '{accelerator.PROOF}'",
    "hangs after its proof": f"echo '{accelerator.PROOF}'; exec sleep 1000",
    "hangs": "echo 'booting'; exec sleep 1000",
    "dies": "echo 'failed to set MSR' >&2; exit 1",
}


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each trial; /dev/kvm answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(accelerator, "LIMIT", 1.0)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    monkeypatch.setattr(accelerator.programs, "find", lambda name: str(tmp_path / "qemu"))
    return tmp_path / "trials"


def write(trials: Path, script: str) -> None:
    program = trials.parent / "qemu"
    program.write_text(f'#!/bin/sh\necho "$@" >>{trials}\n{script}\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("program", "found"),
    [("works", "kvm"), ("hangs after its proof", "kvm"), ("hangs", "tcg"), ("dies", "tcg")],
)
def test_what_a_boot_proves(trials: Path, program: str, found: str) -> None:
    write(trials, PROGRAMS[program])
    started = time.monotonic()
    assert accelerator.choose("/kernel", "/initramfs") == found
    assert time.monotonic() - started < 60
    (argv,) = trials.read_text().splitlines()
    assert "-accel kvm" in argv
    assert "-kernel /kernel -initrd /initramfs" in argv


def test_answer_is_remembered_for_this_program(trials: Path) -> None:
    write(trials, PROGRAMS["works"])
    assert [accelerator.choose("k", "i") for _ in range(3)] == ["kvm"] * 3
    assert len(trials.read_text().splitlines()) == 1
    write(trials, PROGRAMS["dies"])
    os.utime(trials.parent / "qemu", (1, 1))
    assert accelerator.choose("k", "i") == "tcg"
    assert len(trials.read_text().splitlines()) == 2


def test_old_answer_is_not_trusted(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(trials, PROGRAMS["works"])
    assert accelerator.choose("k", "i") == "kvm"
    monkeypatch.setattr(accelerator, "REMEMBERED", -1)
    assert accelerator.choose("k", "i") == "kvm"
    assert len(trials.read_text().splitlines()) == 2


def test_no_trial_without_the_device(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(trials, PROGRAMS["works"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert accelerator.choose("k", "i") == "tcg"
    assert not trials.exists()
