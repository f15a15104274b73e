"""Durations as Go writes them, for the options that runc's callers give: ``300ms``, ``1.5h``, ``2h45m``."""

from __future__ import annotations

from seatrial.runtime.errors import UsageError

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST = (1 << 63) / 1e9  # Go counts nanoseconds in 64 bits


def seconds(text: str) -> float:
    """The duration in seconds; negative ones and ``0`` too.  Raises UsageError."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    total = 0.0
    if not rest:
        raise _invalid(text)
    while rest:
        size = 0
        while size < len(rest) and rest[size] in "0123456789.":
            size += 1
        number, rest = rest[:size], rest[size:]
        size = 0
        while size < len(rest) and rest[size] not in "0123456789.":
            size += 1
        unit, rest = rest[:size], rest[size:]
        if number.count(".") > 1 or not number.strip(".") or unit not in _UNITS:
            raise _invalid(text)
        total += float(number) * _UNITS[unit]
    if total >= _MOST:
        raise _invalid(text)
    return -total if text[0] == "-" else total


def _invalid(text: str) -> UsageError:
    return UsageError(f"invalid duration {text!r}", "such as 500ms, 5s or 1m30s")
