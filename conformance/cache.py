"""Where the harness keeps what it can make again."""

from __future__ import annotations

import os
from collections.abc import Mapping


def directory(env: Mapping[str, str] = os.environ) -> str:
    """`$XDG_CACHE_HOME/seatrial`, with ~/.cache where that is not set (XDG Base Directory Specification); it may not be
    there yet."""
    return os.path.join(env.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "seatrial")
