"""`seatrial vm kernels` on the command line, with the packages of the host's own mirror and without one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.vm.kernel.name import parse

PATIENCE = 600.0
COMMAND = [sys.executable, "-m", "seatrial.conformance.cli", "vm", "kernels"]


@pytest.fixture(autouse=True)
def apt() -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("program:apt-get: not installed")


def test_every_kernel_that_is_listed_can_be_asked_for() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode == 2 and "package lists" in done.stderr:
        pytest.skip(f"packages: {done.stderr.splitlines()[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(line.split() for line in done.stdout.splitlines())
    assert len(listed) == len(done.stdout.splitlines())
    assert {"debian:6.1", "debian:6.1-cloud"} <= set(listed)
    for name, package in listed.items():
        asked = parse(name)
        assert str(asked) == name
        assert re.fullmatch(asked.pattern, package), name
    series = [tuple(map(int, re.findall(r"\d+", name))) for name in listed]
    assert series == sorted(series)


def test_host_without_lists_of_debian_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/none bookworm main\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "{tmp_path}/parts";\n'
    )
    environment = {**os.environ, "APT_CONFIG": f"{tmp_path}/apt.conf", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("seatrial: apt has no lists of Debian: ")
    assert "apt-get update" in done.stderr
    assert len(done.stderr.splitlines()) == 1
