"""How long a case waits for what must happen: longer on a slow host, such as a machine under software emulation, which
`--timeout` tells."""

from __future__ import annotations

# Seconds for one invocation of the runtime on a host of usual speed; no legitimate one is known to take more than 1.
DEFAULT_TIMEOUT = 10.0

_scale = 1.0


def adapt(timeout: float) -> None:
    """Take the time that one invocation of the runtime is given, in seconds: patience grows with it, and never
    shrinks."""
    global _scale
    _scale = max(1.0, timeout / DEFAULT_TIMEOUT)


def patience(seconds: float) -> float:
    """The time to wait where `seconds` do on a host of usual speed."""
    return seconds * _scale
