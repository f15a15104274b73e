"""Hand a check to atheris, with libFuzzer's arguments from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris


def run(check: Callable[[bytes], None]) -> None:
    """Call `check` with inputs until a limit or an exception that leaves it; does not return."""
    sys.set_int_max_str_digits(4300)  # the interpreter's default, whatever the environment says
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
