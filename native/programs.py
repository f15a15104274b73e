"""Where the static programs are installed."""

from __future__ import annotations

import os

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name: str) -> str:
    """Absolute path of a static program: "executor" or "probe".

    FileNotFoundError, whose text says how to build it, when it is not there; ValueError for any other name.
    """
    if name not in ("executor", "probe"):
        raise ValueError(f"no such program: {name!r}: executor or probe")
    program = os.path.join(HERE, "bin", "seatrial-" + name)
    if not os.access(program, os.X_OK):
        raise FileNotFoundError(
            2, f"the {name} is not built: run `python {os.path.join(HERE, 'compile.py')} {name}`", program
        )
    return program
