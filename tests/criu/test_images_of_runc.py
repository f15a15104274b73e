"""Images go from runc to this runtime and back: the same names and keys in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from shell_bundle import ShellBundle, Trial, count, until


class Runc:
    """runc with a root of its own, and the same CRIU first in PATH."""

    def __init__(self, program: str, criu: str, place: str) -> None:
        self.line = [program, "--root", os.path.join(place, "runc")]
        links = os.path.join(place, "bin")
        os.makedirs(links)
        os.symlink(criu, os.path.join(links, "criu"))
        self.env = os.environ | {"PATH": f"{links}:{os.environ['PATH']}:/usr/sbin:/sbin"}

    def __call__(self, *words: str, check: bool = True) -> None:
        done = subprocess.run(
            [*self.line, *words],
            check=False,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # which the container keeps
            timeout=180,
        )
        assert done.returncode == 0 or not check, words


@pytest.fixture
def runc(criu: str, place: str) -> Iterator[Runc]:
    program = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin") or pytest.skip("runc: not installed")
    made = Runc(program, criu, place)
    yield made
    made("delete", "--force", "cr-runc", check=False)


def test_from_runc(trial: Trial, bundle: ShellBundle, runc: Runc) -> None:
    runc("run", "--detach", "--bundle", bundle.path, "cr-runc")
    until(lambda: count(bundle) > 0, "the counter")
    runc("checkpoint", "--image-path", trial.images, "cr-runc")
    reached = count(bundle)
    done = trial.restore("cr-runc", bundle)
    assert "of another runtime" in done.stderr
    until(lambda: count(bundle) > reached, "the counter")


def test_to_runc(trial: Trial, bundle: ShellBundle, runc: Runc) -> None:
    trial.run("cr-runc", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-runc")
    reached = count(bundle)
    runc("restore", "--detach", "--bundle", bundle.path, "--image-path", trial.images, "cr-runc")
    until(lambda: count(bundle) > reached, "the counter")
