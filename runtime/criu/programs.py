"""The programs of a dumped container: a rootfs without them, or with others, cannot take it back.

CRIU compares sizes, and build ids where a file has one; its message does not say what is wrong with the rootfs.
"""

from __future__ import annotations

import os
import stat

from seatrial.native.syscall import openat2
from seatrial.runtime.errors import CriuError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    # path in the container -> [size in bytes, BLAKE2b-256 in hexadecimal; "" where the file was too big for that]
    Programs = dict[str, list[int | str]]

_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
_DIGEST_BYTES = 64 << 20


def mapped(pids: Iterable[int], root: int) -> Programs:
    """What the processes have mapped to execute, as far as it lies below `root`, a descriptor of their root.

    Files that are deleted, changed by name, or not readable are left out: CRIU has its own ways with these.
    """
    files: dict[str, tuple[int, int]] = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        for line in lines:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
                major, _, minor = fields[3].partition(":")
                files[fields[5].replace("\\012", "\n")] = (os.makedev(int(major, 16), int(minor, 16)), int(fields[4]))
    found: Programs = {}
    for path, (_device, inode) in sorted(files.items()):
        described = _describe(root, path)
        # The device is not compared: overlayfs and btrfs show another one in maps than in stat(2).
        if described is not None and described[2] == inode:
            found[path] = [described[0], described[1]]
    return found


def check(programs: Programs, rootfs: str, hidden: Iterable[str]) -> None:
    """Raises CriuError when a rootfs lacks one of the programs, or has another one in its place.

    `hidden`: places where something else than the rootfs is mounted.
    """
    places = [place.rstrip("/") + "/" for place in hidden]
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, (size, digest) in programs.items():
            if any(f"{path}/".startswith(place) for place in places):
                continue
            described = _describe(root, path)
            differs = f"rootfs {rootfs} is not the one that was dumped: {path}"
            if described is None:
                raise CriuError(f"{differs} is missing")
            if described[0] != size:
                raise CriuError(f"{differs} has {described[0]} bytes, and had {size}")
            if described[1] != digest:
                raise CriuError(f"{differs} has changed")
    finally:
        os.close(root)


def _describe(root: int, path: str) -> tuple[int, str, int] | None:
    """Size, digest and inode of a regular file; None when there is none."""
    try:
        # O_NONBLOCK: what is there now may be a pipe.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fd = openat2(root, path, flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return None
        return found.st_size, _digest(fd) if found.st_size <= _DIGEST_BYTES else "", found.st_ino
    finally:
        os.close(fd)


def _digest(fd: int) -> str:
    from _blake2 import blake2b  # hashlib imports OpenSSL

    sum = blake2b(digest_size=32)
    while data := os.read(fd, 1 << 20):
        sum.update(data)
    digest: str = sum.hexdigest()
    return digest
