"""Signals by name and number, as `kill` of the command line takes them."""

from __future__ import annotations

from seatrial.runtime.errors import UsageError

HIGHEST = 64  # _NSIG of every architecture but mips


def signal_number(text: str) -> int:
    """The number of ``15``, ``TERM``, ``SIGTERM`` or ``sigterm``; ``RTMIN+3`` and ``RTMAX-1`` too.  "" is SIGTERM.

    Raises UsageError for anything else.
    """
    # `_signal` is the C part: `signal` pulls in `enum`.
    import _signal  # type: ignore[import-not-found]

    if not text:
        return int(_signal.SIGTERM)
    digits = text[1:] if text[0] == "-" else text
    if digits.isascii() and digits.isdigit():
        number = int(text) if len(text) < 10 else -1
        if 0 <= number <= HIGHEST:
            return number
        raise UsageError(f"signal {text}: not between 0 and {HIGHEST}")
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    known = getattr(_signal, "SIG" + base, None) if base.isalnum() else None
    if isinstance(known, int):
        if not sign:
            return known
        if base in ("RTMIN", "RTMAX") and offset.isascii() and offset.isdigit() and len(offset) < 3:
            known += int(offset) if sign == "+" else -int(offset)
            if _signal.SIGRTMIN <= known <= _signal.SIGRTMAX:
                return known
    raise UsageError(f"signal {text}: no such signal", "use a number or a name such as TERM or SIGKILL")


def signal_name(number: int) -> str:
    """``SIGTERM`` for 15; ``signal 42`` for one without a name of its own."""
    import _signal

    for name in dir(_signal):
        if name.startswith("SIG") and name[3] != "_" and getattr(_signal, name) == number:
            return name
    return f"signal {number}"
