"""Importing the bindings is cheap: no module that costs start-up time comes along."""

from __future__ import annotations

import os
import sys

from child import run

MODULES = ("spawn", "syscall", "pidfd", "memfd", "channel", "seccomp", "bpf", "mount_api")
ALLOWED = {"__future__", "struct", "_struct", "_cffi_backend", "errno"}


def test_bindings_import_only_what_the_command_line_may() -> None:
    import seatrial.native._native as native

    places = [os.path.dirname(sys.modules["_cffi_backend"].__file__ or "")]
    # `seatrial.native` is a folder of any name in an editable install: load it from where this process has it.
    code = f"""
import sys, os
sys.path += {places!r}
before = set(sys.modules)
import importlib.machinery, types
for name, path in (("seatrial", []), ("seatrial.native", [{os.path.dirname(native.__file__ or "")!r}])):
    module = types.ModuleType(name); module.__path__ = path; sys.modules[name] = module
before |= set(sys.modules)
import seatrial.native.{", seatrial.native.".join(MODULES)}
print(*sorted(n for n in set(sys.modules) - before if not n.startswith("seatrial")))
"""
    child = run(f"exec {sys.executable} -I -S -c '{code.replace(chr(39), chr(34))}'")
    assert child.status == 0, child.output
    assert set(child.output.split()) <= ALLOWED
