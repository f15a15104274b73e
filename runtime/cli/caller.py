"""What the caller of the command line gave this process: descriptors, and a terminal."""

from __future__ import annotations

import os

from seatrial.runtime.errors import UsageError


def preserved(count: int) -> list[int]:
    """Descriptors 3 to 2+count, which must be open.  Raises UsageError."""
    fds = list(range(3, 3 + count))
    for fd in fds:
        try:
            os.fstat(fd)
        except OSError:
            raise UsageError(f"descriptor {fd} is to be preserved, but it is not open") from None
    return fds


def terminal_size() -> tuple[int, int]:
    """Columns and lines of the caller's terminal; zeros where there is none."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return 0, 0
    return size.columns, size.lines
