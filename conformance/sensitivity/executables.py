"""Mutants as executables: a shell script each, which any suite can take for a runtime."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterable

from seatrial.conformance.errors import HarnessBug

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "mutant", "program.py")  # never imported here: it plants bugs in the process that it is
PLACE = os.path.dirname(os.path.dirname(HERE))  # the folder that holds the package's folders


def command(mode: str, first: str, second: str) -> list[str]:
    """The command line of the mutant's program, to which the arguments of a runtime are added."""
    sites = ":".join(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
    return [sys.executable, "-I", "-S", PROGRAM, mode, first, second, PLACE, sites]


def write(path: str, words: list[str]) -> str:
    """An executable at `path` that runs the command line `words` with its own arguments added; the path."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    os.chmod(path, 0o755)
    return path


def mutant(path: str, mutations: Iterable[str], mark: str = "") -> str:
    """An executable that is the runtime with these mutations (with none: the control); `mark` is the file that it makes
    once one of them has changed something."""
    return write(path, command("run", ";".join(mutations), mark))


def recorder(path: str, log: str) -> str:
    """An executable that is the runtime, and writes down what it does."""
    return write(path, command("record", log, "-"))


def steps() -> dict[str, str]:
    """The steps of the parent: mutation -> the expression that the step returns when it is skipped."""
    done = subprocess.run(command("steps", "-", "-"), capture_output=True, text=True)
    if done.returncode != 0:
        raise HarnessBug(f"the mutant program cannot list the steps\n{done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def export(directory: str, mutations: Iterable[str]) -> dict[str, str]:
    """One executable for each mutation below `directory`, `control` beside them, and mutants.json, which is returned:
    executable -> mutation.  Raises OSError."""
    os.makedirs(directory, exist_ok=True)
    index = {}
    for name in mutations:
        file = file_name(name)
        mutant(os.path.join(directory, file), [name])
        index[file] = name
    mutant(os.path.join(directory, "control"), [])
    with open(os.path.join(directory, "mutants.json"), "w", encoding="utf-8") as out:
        json.dump(index, out, indent=1)
        out.write("\n")
    return index


def file_name(mutation: str) -> str:
    """A file name for a mutation; different ones for different mutations."""
    import zlib

    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', mutation).strip('-')}-{zlib.crc32(mutation.encode()):08x}"
