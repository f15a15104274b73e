"""Thin system calls, and the one place where an errno becomes an exception.

Every function here raises OSError (the subclass that fits: FileNotFoundError, PermissionError ...) made by `failure`:
`errno` is the kernel's, `strerror` begins with the call's name, `filename` is the object it was made on.  Descriptors
that are returned are close-on-exec.  Paths are str or bytes; a NUL inside is a ValueError.  The GIL is released during
each call.
"""

from __future__ import annotations

import os

from seatrial.native._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

LOCK_SH = 1
LOCK_EX = 2
LOCK_NB = 4
LOCK_UN = 8

POLLIN = 0x001
POLLOUT = 0x004
POLLERR = 0x008
POLLHUP = 0x010

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

RLIM_INFINITY = (1 << 64) - 1


uncleared = ffi.new_allocator(should_clear_after_alloc=False)  # for buffers that the kernel fills


def failure(error: int, call: str, *objects: object) -> OSError:
    """The exception for a failed call: `[Errno 1] mount: Operation not permitted: 'proc on /proc'`."""
    return OSError(error, f"{call}: {os.strerror(error)}", " ".join(str(item) for item in objects) or None)


def call_of(error: OSError) -> str:
    """The name of the system call of an exception that `failure` made, else an empty string."""
    name, colon, _ = (error.strerror or "").partition(": ")
    return name if colon else ""


def checked(result: int, call: str, *objects: object) -> int:
    """`result`, or the exception for its negative errno."""
    if result < 0:
        raise failure(-result, call, *objects)
    return result


def encoded(text: str | bytes) -> bytes:
    """A path or name as the kernel takes it (file-system encoding); ValueError for a NUL."""
    data = text if isinstance(text, bytes) else os.fsencode(text)
    if b"\0" in data:
        raise ValueError(f"NUL in {text!r}")
    return data


def openat2(dirfd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), Linux 5.6.  Retried: EINTR, and up to 64 times EAGAIN (a rename raced with a restricted look-up)."""
    return checked(lib.seatrial_openat2(dirfd, encoded(path), flags, mode, resolve), "openat2", path)


def close_range(first: int, last: int = 0xFFFFFFFF, *, cloexec: bool = False) -> None:
    """close_range(2), Linux 5.9 (cloexec: 5.11): close, or mark close-on-exec, the descriptors first..last."""
    checked(lib.seatrial_close_range(first, last, 4 if cloexec else 0), "close_range", f"{first}..{last}")


def flock(fd: int, operation: int) -> None:
    """flock(2); BlockingIOError with LOCK_NB when another holds it."""
    checked(lib.seatrial_flock(fd, operation), "flock", f"fd {fd}")


def ioctl(fd: int, request: int, argument: int = 0) -> int:
    """ioctl(2) with an integer argument (an address is an integer, too)."""
    return checked(lib.seatrial_ioctl(fd, request, argument), "ioctl", f"fd {fd} request {request:#x}")


def write_file(path: str | bytes, text: str | bytes, dirfd: int = AT_FDCWD) -> None:
    """Write a value to a file of /proc, /sys or a cgroup in one write(2); the last component may not be a symlink."""
    data = text if isinstance(text, bytes) else text.encode()
    result = lib.seatrial_write_at(dirfd, encoded(path), data, len(data))
    if result < 0:
        raise failure(-result, "write", os.fsdecode(path), repr(text))


def read_file(path: str | bytes, limit: int = 65536, dirfd: int = AT_FDCWD) -> bytes:
    """The first `limit` bytes of a file of /proc, /sys or a cgroup; the last component may not be a symlink."""
    buffer = uncleared("char[]", limit)
    got = checked(lib.seatrial_read_at(dirfd, encoded(path), buffer, limit), "read", path)
    data: bytes = ffi.buffer(buffer, got)[:]
    return data


def setns(fd: int, type: int = 0) -> None:
    """setns(2); moves the calling thread only."""
    checked(lib.seatrial_setns(fd, type), "setns", f"fd {fd}")


def netlink_socket(protocol: int, namespace: int = -1) -> int:
    """An AF_NETLINK socket (netlink(7)) of a protocol, in the network namespace behind a descriptor; -1: the caller's.

    No thread of the caller enters that namespace: a short-lived native one does, and nothing is forked.
    """
    return checked(lib.seatrial_netlink_socket(namespace, protocol), "socket", f"netlink in namespace fd {namespace}")


def unshare(flags: int) -> None:
    """unshare(2); moves the calling thread only."""
    checked(lib.seatrial_unshare(flags), "unshare", f"{flags:#x}")


def prctl(option: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """prctl(2) with integer arguments."""
    return checked(lib.seatrial_prctl(option, a, b, c, d), "prctl", option)


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """prlimit(2): the previous (soft, hard), after setting new ones if given.  pid 0: the caller."""
    new = ffi.NULL if limits is None else ffi.new("uint64_t[2]", limits)
    old = ffi.new("uint64_t[2]")
    checked(lib.seatrial_prlimit(pid, resource, new, old), "prlimit", f"pid {pid} resource {resource}")
    return int(old[0]), int(old[1])


def keyctl(command: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """keyctl(2) with integer arguments; key serials may come back negative only as errors."""
    return checked(lib.seatrial_keyctl(command, a, b, c, d), "keyctl", command)


def syscall(number: int, *arguments: int) -> int:
    """Any system call by number with up to six integer arguments (negative ones are passed as two's complement)."""
    padded = [argument & 0xFFFFFFFFFFFFFFFF for argument in arguments] + [0] * (6 - len(arguments))
    return checked(lib.seatrial_syscall(number, *padded), "syscall", number)


def poll(fds: Sequence[int], milliseconds: int = -1, events: int = POLLIN) -> list[tuple[int, int]]:
    """poll(2) on up to 64 descriptors: (fd, revents) of those that are ready; empty after the timeout.

    Raises InterruptedError on a signal, after Python's handlers have run.  A pidfd is readable once its process exited.
    """
    revents = ffi.new("short[]", max(len(fds), 1))
    checked(lib.seatrial_poll(list(fds), [events] * len(fds), revents, len(fds), milliseconds), "poll")
    return [(fd, revents[i]) for i, fd in enumerate(fds) if revents[i]]
