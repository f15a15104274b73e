"""Directories that every user can reach: pytest closes its own to others, again and again."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def reachable_directory() -> Iterator[str]:
    """One that is removed when the block ends."""
    directory = tempfile.mkdtemp(prefix="seatrial-test-", dir="/tmp")
    try:
        os.chmod(directory, 0o755)
        yield directory
    finally:
        shutil.rmtree(directory)
