"""The directory of a run below /tmp: bundles, state, pytest's log.  A run that was killed with SIGKILL, with everything
that would have cleaned up, leaves it; the next one removes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time

BASE = "/tmp"
PREFIX = "seatrial-"
LOCK = "lock"  # held while the run lasts
SETTLED = 60.0  # seconds; a younger directory may not be locked yet


class Scratch:
    """`path` is the directory, `work` that of the bundles, `log` a file for output.  close() removes it all."""

    def __init__(self) -> None:
        sweep()
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=BASE)
        os.chmod(self.path, 0o755)
        self._lock = os.open(os.path.join(self.path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.work = os.path.join(self.path, "work")
        self.log = os.path.join(self.path, "pytest.log")
        os.mkdir(self.work)
        open(self.log, "wb").close()  # read at the end, however soon that comes

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(base: str = BASE) -> None:
    """Remove our own user's directories that no run holds any more."""
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if name.startswith(PREFIX) and _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _abandoned(path: str) -> bool:
    with contextlib.suppress(OSError):
        if os.lstat(path).st_uid != os.geteuid() or os.path.islink(path):
            return False
        lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if time.time() - os.fstat(lock).st_mtime < SETTLED:
                return False
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(lock)
    return False
