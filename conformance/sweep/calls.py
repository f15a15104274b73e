"""System calls that a sweep makes fail, and with what: the errnos that their man pages list, less those that only a
mistake of the caller can bring (EBADF, EFAULT) and those that mean "not supported", which masks are for (ENOSYS)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.mask import numbers

GENERIC = ("aarch64", "riscv64")  # machines with the kernel's generic table


@dataclass(frozen=True, slots=True)
class Call:
    """One call.  `x86_64` and `generic` are its numbers (-1: there is none); `path` says which argument is the path,
    and which the directory's descriptor that it starts from (None: the working directory); `fd` which argument is the
    descriptor that it is about.  `narrow`: only where its object is one of the runtime's, or of the container's."""

    name: str
    x86_64: int
    generic: int
    errnos: tuple[str, ...]
    path: tuple[int | None, int] | None = None
    fd: int | None = None
    narrow: bool = False

    def number(self, machine: str) -> int:
        """Its number on a machine as uname(2) names it; -1 where it does not exist."""
        return self.x86_64 if machine == "x86_64" else self.generic


_MAKE = ("EACCES", "EEXIST", "ENOENT", "ENOMEM", "ENOSPC", "EPERM", "EROFS")
_REMOVE = ("EACCES", "EBUSY", "EIO", "ENOMEM", "EPERM", "EROFS")  # ENOENT would say that it is done
_RENAME = (*_REMOVE, "ENOENT")
_CHANGE = ("EACCES", "EIO", "ENOENT", "ENOMEM", "EPERM", "EROFS")
_OPEN = ("EACCES", "EINTR", "EMFILE", "ENFILE", "ENODEV", "ENOENT", "ENOMEM", "ENOSPC", "EPERM", "EROFS")
_WRITE = ("EBUSY", "EINTR", "EINVAL", "EIO", "ENOSPC", "EPERM")
_FDS = ("EMFILE", "ENFILE", "ENOMEM")
_IDS = ("EAGAIN", "EINVAL", "EPERM")
_MOUNT = ("EACCES", "EBUSY", "EINVAL", "ELOOP", "EMFILE", "ENODEV", "ENOENT", "ENOMEM", "ENOTDIR", "EPERM", "EROFS")
_START = ("EAGAIN", "ENOMEM")

_TABLE = (
    # mount(2), mount_setattr(2), fsopen(2) and the pages beside them
    Call("mount", 165, 40, _MOUNT, path=(None, 1)),
    Call("umount2", 166, 39, ("EAGAIN", "EBUSY", "EINVAL", "ENOENT", "ENOMEM", "EPERM"), path=(None, 0)),
    Call("pivot_root", 155, 41, ("EBUSY", "EINVAL", "ENOTDIR", "EPERM"), path=(None, 0)),
    Call("chroot", 161, 51, ("EACCES", "EIO", "ENOENT", "ENOMEM", "EPERM"), path=(None, 0)),
    Call("open_tree", 428, 428, ("EACCES", "EMFILE", "ENOENT", "ENOMEM", "EPERM"), path=(0, 1)),
    Call("move_mount", 429, 429, ("EACCES", "EINVAL", "ELOOP", "ENOENT", "ENOMEM", "EPERM"), path=(2, 3)),
    Call("fsopen", 430, 430, ("EMFILE", "ENODEV", "ENOMEM", "EPERM")),
    Call("fsconfig", 431, 431, ("EACCES", "EBUSY", "EINVAL", "ENOMEM", "EPERM")),
    Call("fsmount", 432, 432, ("EBUSY", "EINVAL", "EMFILE", "ENOMEM", "EPERM")),
    Call("mount_setattr", 442, 442, ("EBUSY", "EINVAL", "ENOENT", "ENOMEM", "EPERM"), path=(0, 1)),
    # unshare(2), setns(2), clone(2), execve(2)
    Call("unshare", 272, 97, ("EINVAL", "ENOMEM", "ENOSPC", "EPERM", "EUSERS")),
    Call("setns", 308, 268, ("EINVAL", "ENOMEM", "EPERM", "ESRCH"), fd=0),
    Call("clone", 56, 220, (*_START, "ENOSPC", "EPERM")),
    Call("clone3", 435, 435, (*_START, "EACCES", "EBUSY", "ENOSPC", "EPERM")),
    Call("fork", 57, -1, _START),
    Call("vfork", 58, -1, _START),
    Call("execve", 59, 221, ("E2BIG", "EACCES", "EIO", "ENOENT", "ENOMEM"), path=(None, 0), narrow=True),
    Call("execveat", 322, 281, ("E2BIG", "EACCES", "EIO", "ENOENT", "ENOMEM"), path=(0, 1)),
    # open(2) and what is done to files
    Call("open", 2, -1, _OPEN, path=(None, 0), narrow=True),
    Call("openat", 257, 56, _OPEN, path=(0, 1), narrow=True),
    Call("openat2", 437, 437, _OPEN, path=(0, 1), narrow=True),
    Call("write", 1, 64, _WRITE, fd=0, narrow=True),
    Call("pwrite64", 18, 68, _WRITE, fd=0, narrow=True),
    Call("writev", 20, 66, _WRITE, fd=0, narrow=True),
    Call("fsync", 74, 82, ("EINTR", "EIO", "ENOSPC"), fd=0),
    Call("ftruncate", 77, 46, ("EINTR", "EIO", "EPERM"), fd=0),
    Call("flock", 73, 32, ("EINTR", "ENOLCK"), fd=0),
    Call("mkdir", 83, -1, _MAKE, path=(None, 0)),
    Call("mkdirat", 258, 34, _MAKE, path=(0, 1)),
    Call("mknod", 133, -1, _MAKE, path=(None, 0)),
    Call("mknodat", 259, 33, _MAKE, path=(0, 1)),
    Call("symlink", 88, -1, _MAKE, path=(None, 1)),
    Call("symlinkat", 266, 36, _MAKE, path=(1, 2)),
    Call("link", 86, -1, _MAKE, path=(None, 1)),
    Call("linkat", 265, 37, _MAKE, path=(2, 3)),
    Call("rmdir", 84, -1, _REMOVE, path=(None, 0)),
    Call("unlink", 87, -1, _REMOVE, path=(None, 0)),
    Call("unlinkat", 263, 35, _REMOVE, path=(0, 1)),
    Call("rename", 82, -1, _RENAME, path=(None, 1)),
    Call("renameat", 264, 38, _RENAME, path=(2, 3)),
    Call("renameat2", 316, 276, _RENAME, path=(2, 3)),
    Call("chmod", 90, -1, _CHANGE, path=(None, 0)),
    Call("fchmod", 91, 52, _CHANGE, fd=0),
    Call("fchmodat", 268, 53, _CHANGE, path=(0, 1)),
    Call("chown", 92, -1, _CHANGE, path=(None, 0)),
    Call("fchown", 93, 55, _CHANGE, fd=0),
    Call("lchown", 94, -1, _CHANGE, path=(None, 0)),
    Call("fchownat", 260, 54, _CHANGE, path=(0, 1)),
    Call("chdir", 80, 49, ("EACCES", "EIO", "ENOENT", "ENOMEM"), path=(None, 0)),
    Call("fchdir", 81, 50, ("EACCES",), fd=0),
    # descriptors
    Call("memfd_create", 319, 279, _FDS),
    Call("pipe2", 293, 59, _FDS),
    Call("socket", 41, 198, (*_FDS, "EACCES", "ENOBUFS")),
    Call("socketpair", 53, 199, _FDS),
    Call("bind", 49, 200, ("EACCES", "EADDRINUSE", "ENOMEM"), fd=0),
    Call("connect", 42, 203, ("EACCES", "EAGAIN", "ECONNREFUSED", "EINTR"), fd=0),
    Call("sendmsg", 46, 211, ("EINTR", "ENOBUFS", "ENOMEM", "EPIPE"), fd=0),
    Call("dup3", 292, 24, ("EBUSY", "EINTR", "EMFILE")),
    Call("eventfd2", 290, 19, _FDS),
    Call("epoll_create1", 291, 20, _FDS),
    Call("inotify_init1", 294, 26, _FDS),
    Call("signalfd4", 289, 74, _FDS),
    Call("pidfd_open", 434, 434, (*_FDS, "ESRCH")),
    Call("close_range", 436, 436, ("EMFILE", "ENOMEM")),
    # what a process is
    Call("setsid", 112, 157, ("EPERM",)),
    Call("setuid", 105, 146, _IDS),
    Call("setgid", 106, 144, ("EINVAL", "EPERM")),
    Call("setresuid", 117, 147, _IDS),
    Call("setresgid", 119, 149, _IDS),
    Call("setgroups", 116, 159, ("EINVAL", "ENOMEM", "EPERM")),
    Call("capset", 126, 91, ("EINVAL", "EPERM")),
    Call("prctl", 157, 167, ("EINVAL", "EPERM")),
    Call("seccomp", 317, 277, ("EACCES", "EINVAL", "ENOMEM")),
    Call("sethostname", 170, 161, ("EINVAL", "EPERM")),
    Call("setdomainname", 171, 162, ("EINVAL", "EPERM")),
    Call("prlimit64", 302, 261, ("EINVAL", "EPERM", "ESRCH")),
    Call("setrlimit", 160, 164, ("EINVAL", "EPERM")),
    Call("sched_setattr", 314, 274, ("EBUSY", "EINVAL", "EPERM")),
    Call("sched_setaffinity", 203, 122, ("EINVAL", "EPERM")),
    Call("ioprio_set", 251, 30, ("EINVAL", "EPERM")),
    Call("set_mempolicy", 238, 237, ("EINVAL", "ENOMEM")),
    Call("personality", 135, 92, ("EINVAL",)),
    Call("keyctl", 250, 219, ("EACCES", "EDQUOT", "ENOMEM", "EPERM")),
    Call("bpf", 321, 280, ("EINVAL", "ENOMEM", "EPERM")),
    # signals
    Call("kill", 62, 129, ("EPERM", "ESRCH")),
    Call("pidfd_send_signal", 424, 424, ("EPERM", "ESRCH")),
)
CALLS = {call.name: call for call in _TABLE}

# prctl(2) has many faces: these options set what a container is promised.
PRCTL = {1: "PDEATHSIG", 4: "DUMPABLE", 8: "KEEPCAPS", 22: "SECCOMP", 24: "CAPBSET_DROP", 36: "CHILD_SUBREAPER"}
PRCTL |= {38: "NO_NEW_PRIVS", 47: "CAP_AMBIENT"}


_OPENS = ("open", "openat", "openat2")
_MAKES = ("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "link", "linkat")


def is_untrue(call: str, object: str, errno: str) -> bool:
    """Whether this errno only denies that the container exists, whose state it is about: no failure, and a runtime
    cannot but believe it."""
    return errno == "ENOENT" and call in _OPENS and object.startswith("state/ID")


def is_denial(call: str, object: str, errno: str) -> bool:
    """Whether this errno only says that the object is not there, or is there already.  It is untrue, but believable: a
    runtime may go on without the object, as it must where a masked path does not exist, the image has a link, or the
    kernel does not know a capability (PR_CAPBSET_DROP EINVAL)."""
    if errno == "EINVAL":
        return call == "prctl" and object == "CAPBSET_DROP"
    return (errno in ("ENOENT", "ENODEV") and call in _OPENS) or (errno == "EEXIST" and call in _MAKES)


@cache
def by_number(machine: str | None = None) -> dict[int, Call]:
    """The calls of this machine (or of one as uname(2) names it), by number.  EnvironmentProblem for an unknown one."""
    name = os.uname().machine if machine is None else machine
    if name != "x86_64" and name not in GENERIC:
        raise EnvironmentProblem(f"sweep: no table of system calls for {name}, only for x86_64, {', '.join(GENERIC)}")
    return {call.number(name): call for call in _TABLE if call.number(name) >= 0}


def architecture(machine: str | None = None) -> int:
    """AUDIT_ARCH_* of programs that are native to the machine."""
    return numbers.MACHINES[os.uname().machine if machine is None else machine][0]
