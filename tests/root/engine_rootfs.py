"""A root file system for real engines, and what they need."""

from __future__ import annotations

import os
import shutil

import pytest

PROGRAMS = "sh ls cat echo sleep id true false env kill ps hostname stty tty touch pwd test cut".split()


def need(*programs: str, **packages: str) -> pytest.MarkDecorator:
    """A mark that skips by the package's name where a program is missing."""
    wanted = {program: program for program in programs} | packages
    missing = sorted(package for program, package in wanted.items() if not shutil.which(program))
    return pytest.mark.skipif(bool(missing), reason=f"needs the packages: {' '.join(missing)}")


def busybox_rootfs(path: str) -> str:
    """Make a root file system of busybox at a path, and return that."""
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "run", "root", "work"):
        os.makedirs(os.path.join(path, name))
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, os.path.join(path, "bin", "busybox"))
    for name in PROGRAMS:
        os.symlink("busybox", os.path.join(path, "bin", name))
    for name, text in (
        ("passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n"),
        ("group", "root:x:0:\nguest:x:1000:\n"),
    ):
        with open(os.path.join(path, "etc", name), "w") as file:
            file.write(text)
    return path
