"""Where kernels, images and snapshots are kept: $XDG_CACHE_HOME/seatrial/vm, each entry whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

KINDS = ("apt", "boxes", "kernels", "layers", "snapshots")
BUILDING, SEPARATOR = ".building-", "~"  # .building-NAME~RANDOM: what is made of the entry NAME


def root() -> str:
    """The directory of the cache; made when missing, for the user alone."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "seatrial", "vm")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def place(kind: str, name: str) -> str:
    """The path of an entry, whether it is there or not."""
    directory = os.path.join(root(), kind)
    os.makedirs(directory, exist_ok=True)
    return os.path.join(directory, name)


@contextlib.contextmanager
def locked(path: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of an entry: two processes that want the same one build it once, and who reads it (`how` is
    LOCK_SH) keeps it from being removed.  BlockingIOError for LOCK_NB where another process holds it."""
    while True:
        with open(path + ".lock", "ab") as file:
            fcntl.flock(file, how)
            try:
                if os.fstat(file.fileno()).st_ino != os.stat(path + ".lock").st_ino:
                    continue  # the entry was removed, with its lock, while we waited
            except FileNotFoundError:
                continue
            yield
            return


@contextlib.contextmanager
def building(path: str) -> Iterator[str | None]:
    """A directory to build the entry in, which takes its name when the block ends well; None when it is there already.

    What is half built is removed when the block fails, or by gc() when the process died.
    """
    with locked(path):
        if os.path.exists(path):
            os.utime(path)  # gc() goes by the last use
            yield None
            return
        prefix = f"{BUILDING}{os.path.basename(path)}{SEPARATOR}"
        work = tempfile.mkdtemp(prefix=prefix, dir=os.path.dirname(path))
        os.chmod(work, 0o755)
        try:
            yield work
            os.rename(work, path)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def digest(*parts: str) -> str:
    """A name for what is made of these parts: sixteen hexadecimal digits of their SHA-256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def file_digest(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sizes() -> dict[str, int]:
    """Bytes on disk of each entry, by `kind/name`."""
    found = {}
    for kind in KINDS:
        directory = os.path.join(root(), kind)
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            if not name.endswith(".lock"):
                found[f"{kind}/{name}"] = _size(os.path.join(directory, name))
    return found


def remove(entry: str) -> bool:
    """Remove an entry (`kind/name`) and its lock file; False when it is in use."""
    path = os.path.join(root(), entry)
    directory, name = os.path.split(path)
    whole = name.removeprefix(BUILDING).rpartition(SEPARATOR)[0] if name.startswith(BUILDING) else name
    lock = os.path.join(directory, whole or name)
    try:
        with locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            os.unlink(lock + ".lock")
    except BlockingIOError:
        return False
    return True


def keep_within(kind: str, limit: int, spared: str = "") -> list[str]:
    """Remove entries of a kind, the least recently used first, until they take no more than `limit` bytes; what was
    removed.  `spared` and what is in use stays."""
    found = [(os.lstat(os.path.join(root(), name)).st_mtime, name, size) for name, size in sizes().items()]
    mine = sorted(entry for entry in found if entry[1].startswith(f"{kind}/"))
    total, removed = sum(size for *_, size in mine), []
    for _, name, size in mine:
        if total <= limit:
            break
        if os.path.basename(name) != spared and remove(name):
            total -= size
            removed.append(name)
    return removed


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return os.lstat(path).st_blocks * 512
    return sum(
        os.lstat(os.path.join(directory, name)).st_blocks * 512
        for directory, _, files in os.walk(path)
        for name in files
    )


def collect(age: float) -> list[tuple[str, int]]:
    """Remove entries not used for `age` seconds, half-built ones, and directories that dead machines left; what was
    removed, with its bytes.  What another process holds locked stays."""
    removed = []
    for name, size in sizes().items():
        path = os.path.join(root(), name)
        half = os.path.basename(name).startswith(BUILDING)
        with contextlib.suppress(FileNotFoundError):  # it was finished just now
            if (half or time.time() - os.lstat(path).st_mtime > age) and remove(name):
                removed.append((name, size))
    for path in [*glob.glob("/tmp/seatrial-vm-*"), *glob.glob("/dev/shm/seatrial-templates-*")]:
        if not alive(path):
            size = _size(path)
            shutil.rmtree(path, ignore_errors=True)
            removed.append((path, size))
    return removed


def mark(directory: str) -> None:
    """Note in a directory which process it belongs to, for collect()."""
    with open(os.path.join(directory, "owner"), "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {_started(os.getpid())}")


def alive(directory: str) -> bool:
    """Whether the process that marked a directory lives: the same pid, started at the same time (proc_pid_stat(5))."""
    try:
        with open(os.path.join(directory, "owner"), encoding="ascii") as file:
            pid, started = file.read().split()
        return _started(int(pid)) == started
    except (OSError, ValueError):
        return False


def _started(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[19]
