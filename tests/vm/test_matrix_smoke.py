"""A real cell: one kernel with cgroup v2, a tenth of the suite, the reference runtime.  Skipped by name where QEMU or a
kernel cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.conformance import machines
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.machine import Blueprint
from seatrial.vm.qemu.pool import parts

KERNEL = "6.1"
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mkfs.erofs", "apt-get", "dpkg-deb")
PATIENCE = 1800.0  # some two minutes on two idle cores


@pytest.fixture(scope="module")
def kernel() -> str:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in NEEDED:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"program:{program}: not installed")
    try:
        parts(Blueprint(kernel=KERNEL, image=machines.image()))
    except EnvironmentProblem as error:
        pytest.skip(f"image: {error}")
    except InfrastructureError as error:
        pytest.skip(f"packages: {str(error).splitlines()[0]}")
    return KERNEL


def matrix(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "matrix", "--directory", str(tmp_path / "matrix")]
    return subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=PATIENCE)


def test_tenth_of_the_suite_passes_on_real_controllers(kernel: str, tmp_path: Path) -> None:
    report = tmp_path / "results.jsonl"
    done = matrix(
        tmp_path, "--kernel", kernel, "--spread", "10", "--round", "0", "--timeout", "240", "--report", f"json={report}"
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    (stamp,) = [entry for entry in entries if entry["kind"] == "stamp"]
    assert stamp["cell"] == {"kernel": kernel, "cgroup": "v2", "mask": "none", "runtime": "seatrial-runtime"}
    assert stamp["accelerator"] in ("kvm", "tcg")
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(stamp["cgroup"]["controllers"])
    outcomes = [entry["outcome"] for entry in entries if entry["kind"] == "result"]
    assert len(outcomes) > 100
    assert outcomes.count("passed") > len(outcomes) / 3


def test_runtime_of_this_host_runs_with_a_mask(kernel: str, tmp_path: Path) -> None:
    runtime = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if runtime is None:
        pytest.skip("program:runc: not installed")
    report = tmp_path / "results.jsonl"
    masked = ["--mask", "no-clone3", "-k", "test_hostname_set"]
    done = matrix(tmp_path, "--kernel", kernel, "--runtime", runtime, *masked, "--report", f"json={report}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    stamp = json.loads(report.read_text().splitlines()[0])
    assert stamp["masks"] == ["no-clone3"]
    assert stamp["runtime"]["source"]["path"] == os.path.join(os.path.realpath(os.path.dirname(runtime)), "runc")
