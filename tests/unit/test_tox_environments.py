"""The environments of tox that are cells of the kernel matrix, as tox itself understands them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product

import pytest

from seatrial.conformance import cli
from seatrial.conformance.matrix.axes import cells

pytest.importorskip("tox")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS, MODES, VARIANTS = ("5.10", "6.1", "6.12", "7.2"), ("v1", "hybrid", "v2"), ("", "-noclone3", "-nocic")
NAMES = [f"kernel-{kernel}-{mode}{variant}" for kernel, mode, variant in product(KERNELS, MODES, VARIANTS)]
MASKS = {"": "none", "-noclone3": "no-clone3", "-nocic": "no-clone-into-cgroup"}


def tox(*arguments: str) -> str:
    argv = [sys.executable, "-m", "tox", "-c", os.path.join(ROOT, "tox.ini"), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_label_names_every_cell() -> None:
    assert sorted(set(tox("list", "--no-desc", "-m", "kernels").split()) & set(NAMES)) == sorted(NAMES)


def test_default_environments_are_no_cells() -> None:
    assert not [name for name in tox("list", "--no-desc", "-d").split() if name.startswith("kernel-")]


def test_each_is_one_call_of_seatrial_matrix() -> None:
    said = tox("config", "-e", ",".join(NAMES), "-k", "commands")
    found = dict(re.findall(r"^\[testenv:(.+)\]\ncommands = (.*)$", said, re.MULTILINE))
    assert sorted(found) == sorted(NAMES)
    for kernel, mode, variant in product(KERNELS, MODES, VARIANTS):
        words = found[f"kernel-{kernel}-{mode}{variant}"].split()
        options = cli.parser().parse_args(words[1:])
        assert words[:2] == ["seatrial", "matrix"]
        assert (options.kernel, options.cgroup, options.mask or ["none"]) == ([kernel], [mode], [MASKS[variant]])
        assert len(cells(options.kernel, options.cgroup, options.mask or ["none"], ["runc"])) == 1
