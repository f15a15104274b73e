"""The root that CRIU restores a container in, in a mount namespace that nobody else sees.

CRIU wants a root that is a mount point and whose parent nothing is mounted over.  The rootfs is bound to a directory
of the container's state for that; in a private namespace, so that neither the mount nor what a killed runtime leaves
of it is ever on the host.
"""

from __future__ import annotations

import _thread
import os
import stat

from seatrial.native import mount_api
from seatrial.native.syscall import openat2, unshare
from seatrial.runtime.criu.mounts import is_below, key_of
from seatrial.runtime.errors import SyscallError
from seatrial.runtime.mount_options import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import Config, Mount

NAME = "criu-root"
_CLONE_FS = 0x200
_NEWNS = 0x20000
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
_O_PATH = 0o10000000
_KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC  # ST_* of statvfs(3) are the same; of the times a remount changes nothing


def in_new_mounts(work: Callable[[], None]) -> None:
    """Call `work` in a thread with a mount namespace of its own, which receives mounts of the host and gives none back.

    Whatever `work` spawns is in that namespace, which lasts as long as its last process.  Raises what `work` raises,
    and SyscallError.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            try:
                unshare(_CLONE_FS | _NEWNS)  # of this thread alone
                mount_api.mount(None, "/", None, MS_SLAVE | MS_REC)
            except OSError as error:
                raise SyscallError.of("make", "a mount namespace", error) from None
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            done.release()

    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(run, ())
    done.acquire()
    if failures:
        raise failures[0]


def bind_root(config: Config, directory: str) -> None:
    """Bind the rootfs to a directory, make what mount points it lacks, and have it read-only where config.json says so.

    The container's root takes the flags of this mount: CRIU keeps those of a root since 4.2 only (its issue 2632), and
    what was read-only could be written to after a restore.  Raises SyscallError.
    """
    try:
        mount_api.mount(config.rootfs, directory, None, MS_BIND | MS_REC)
        root = os.open(directory, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SyscallError.of("bind the rootfs", config.rootfs, error) from None
    try:
        _make_mount_points(config, root)
    finally:
        os.close(root)
    if config.readonlyfs:
        try:
            kept = os.statvfs(directory).f_flag & _KEPT
            mount_api.mount(None, directory, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
        except OSError as error:
            raise SyscallError.of("make the root read-only", config.rootfs, error) from None


def _make_mount_points(config: Config, root: int) -> None:
    """As `create` makes them: in a rootfs that has just been unpacked they may be missing.

    What is below a file system that CRIU fills again (a tmpfs, for one) is in the image.
    """
    filled: list[str] = []
    bound: list[str] = []
    try:
        for mount in config.mounts:
            place = key_of(mount.destination)
            if mount.flags & MS_REMOUNT and not mount.flags & MS_BIND:
                continue
            if any(is_below(place, above) for above in filled):
                continue
            target = _make(root, place, _wants_directory(mount))
            try:
                if mount.flags & MS_BIND:
                    # A later mount point may lie in what is bound.
                    path = f"/proc/thread-self/fd/{target}"
                    mount_api.mount(mount.source, path, None, MS_BIND | mount.flags & MS_REC)
                    bound.append(place)
                else:
                    filled.append(place)
            except OSError as error:
                raise SyscallError.of("bind", f"{mount.source} on {place}", error) from None
            finally:
                os.close(target)
    finally:
        for place in reversed(bound):
            target = openat2(root, place, _O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
            try:
                mount_api.umount(f"/proc/thread-self/fd/{target}", mount_api.MNT_DETACH)
            finally:
                os.close(target)


def _wants_directory(mount: Mount) -> bool:
    if not mount.flags & MS_BIND:
        return True
    try:
        return stat.S_ISDIR(os.stat(mount.source).st_mode)
    except OSError as error:
        raise SyscallError.of("stat", mount.source, error, "the source of a bind mount") from None


def _make(root: int, path: str, directory: bool) -> int:
    """Open a path below `root`, and make what is missing of it; symlinks do not lead out."""
    if path == "/":
        return os.dup(root)
    names = path.strip("/").split("/")
    for index in range(len(names)):
        level = "/".join(names[: index + 1])
        last = index == len(names) - 1
        try:
            fd = openat2(root, level, _O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        except FileNotFoundError:
            try:
                _make_one(root, "/".join(names[:index]), names[index], directory or not last)
                fd = openat2(root, level, _O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
            except OSError as error:
                raise SyscallError.of("make the mount point", path, error) from None
        except OSError as error:
            raise SyscallError.of("open the mount point", path, error) from None
        if last:
            return fd
        os.close(fd)
    raise AssertionError(path)


def _make_one(root: int, parent: str, name: str, directory: bool) -> None:
    above = openat2(root, parent or ".", _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=above)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=above))
    finally:
        os.close(above)
