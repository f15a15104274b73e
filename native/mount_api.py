"""Mounts: mount(2), umount2(2), and the mount API of Linux 5.2 (mount_setattr: 5.12)."""

from __future__ import annotations

import os

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import AT_FDCWD, checked, encoded

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

MNT_FORCE = 1
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_BINARY = 2
FSCONFIG_SET_PATH = 3
FSCONFIG_SET_PATH_EMPTY = 4
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000


def mount(
    source: str | bytes | None, target: str | bytes, fstype: str | bytes | None = None, flags: int = 0,
    data: str | bytes | None = None,
) -> None:  # fmt: skip
    """mount(2)."""
    checked(
        lib.seatrial_mount(
            ffi.NULL if source is None else encoded(source),
            encoded(target),
            ffi.NULL if fstype is None else encoded(fstype),
            flags,
            ffi.NULL if data is None else encoded(data),
        ),
        "mount",
        *(os.fsdecode(word) for word in (fstype or source or "", b"on", target)),
    )


def umount(target: str | bytes, flags: int = 0) -> None:
    """umount2(2)."""
    checked(lib.seatrial_umount2(encoded(target), flags), "umount2", target)


def open_tree(path: str | bytes, flags: int = 0, dirfd: int = AT_FDCWD) -> int:
    """open_tree(2): a descriptor of a mount; OPEN_TREE_CLONE: of a detached copy (AT_RECURSIVE: of the whole tree)."""
    return checked(lib.seatrial_open_tree(dirfd, encoded(path), flags), "open_tree", path)


def move_mount(
    from_fd: int, to_path: str | bytes, *, to_fd: int = AT_FDCWD, from_path: str | bytes = "",
    flags: int = MOVE_MOUNT_F_EMPTY_PATH,
) -> None:  # fmt: skip
    """move_mount(2): by default attach the mount behind `from_fd` at `to_path`."""
    checked(lib.seatrial_move_mount(from_fd, encoded(from_path), to_fd, encoded(to_path), flags), "move_mount", to_path)


def fsopen(fstype: str | bytes) -> int:
    """fsopen(2): a file-system context."""
    return checked(lib.seatrial_fsopen(encoded(fstype), 0), "fsopen", fstype)


def fsconfig(
    fd: int, command: int, key: str | bytes | None = None, value: str | bytes | None = None, aux: int = 0
) -> None:
    """fsconfig(2); FSCONFIG_SET_BINARY is not covered (its value may hold NULs, ours may not)."""
    checked(
        lib.seatrial_fsconfig(
            fd, command, ffi.NULL if key is None else encoded(key), ffi.NULL if value is None else encoded(value), aux
        ),
        "fsconfig",
        *(item for item in (key, value) if item is not None),
    )


def fsmount(fd: int, attributes: int = 0) -> int:
    """fsmount(2): a detached mount of a configured context."""
    return checked(lib.seatrial_fsmount(fd, 0, attributes), "fsmount", f"fd {fd}")


def mount_setattr(
    dirfd: int, path: str | bytes = "", *, set: int = 0, clear: int = 0, propagation: int = 0, userns: int = 0,
    flags: int = 0,
) -> None:  # fmt: skip
    """mount_setattr(2), Linux 5.12.  An empty path means the mount behind `dirfd` and needs AT_EMPTY_PATH in flags."""
    checked(
        lib.seatrial_mount_setattr(dirfd, encoded(path), flags, set, clear, propagation, userns),
        "mount_setattr",
        path or f"fd {dirfd}",
    )
