"""Target: the JSON reader and its writer.  What is read can be written, and reads as the same again."""

from __future__ import annotations

import math
from typing import Any

import atheris

with atheris.instrument_imports(include=["seatrial.runtime"]):
    from seatrial.runtime import document
    from seatrial.runtime.errors import ConfigError


def check(data: bytes) -> None:
    """Read, write, read."""
    try:
        value = document.loads(data)
    except ConfigError:
        return
    if _infinite(value):
        return  # 1e999, in a member that nobody knows: no JSON text stands for what it became
    again = document.loads(document.dumps(value).encode())
    if again != value:
        raise AssertionError(f"{value!r} became {again!r}")


def _infinite(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_infinite, value.values()))
    if isinstance(value, list):
        return any(map(_infinite, value))
    return isinstance(value, float) and math.isinf(value)


if __name__ == "__main__":
    from seatrial.fuzz.targets import engine

    engine.run(check)
