"""Plans for the tests: a small container, and its parts."""

from __future__ import annotations

from executor_driver import Operation

from seatrial.native import operations as table

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 32, 4096, 16384, 1 << 18, 1 << 19, 1 << 20
NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
S_IFCHR, S_IFIFO = 0o020000, 0o010000
PATH = "PATH=/usr/bin:/bin"


def device(major: int, minor: int) -> int:
    return major << 8 | minor


def birth(flags: int = NEWNS | NEWUTS | NEWIPC | NEWPID) -> list[Operation]:
    return [("sync", table.SYNC_CGROUP), ("clone", flags), ("setsid",)]


def into(rootfs: str) -> list[Operation]:
    return [("propagation", "/", MS_SLAVE | MS_REC), ("parent_private", rootfs), ("open_root", rootfs, 1)]


def filesystems() -> list[Operation]:
    return [
        ("mount", "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "", 1),
        ("mount", "tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k", 0),
        ("mount", "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620", 0),
        ("mknod", "/dev/null", S_IFCHR | 0o666, device(1, 3), 0, 0),
        ("symlink", "pts/ptmx", "/dev/ptmx", 1),
    ]


def program(args: list[str], env: list[str] | None = None) -> list[Operation]:
    return [
        ("environment", [PATH] if env is None else env),
        ("find", args[0]),
        ("sync", table.SYNC_READY),
        ("sync", table.SYNC_START),
        ("exec", args),
    ]


def container(
    rootfs: str,
    args: list[str],
    *,
    flags: int = NEWNS | NEWUTS | NEWIPC | NEWPID,
    mounts: list[Operation] | None = None,  # in place of the usual ones
    before: list[Operation] | None = None,  # before the root changes
    after: list[Operation] | None = None,  # after it
    env: list[str] | None = None,
) -> list[Operation]:
    """A container with its own /proc and /dev."""
    plan = birth(flags) + into(rootfs) + (filesystems() if mounts is None else mounts) + (before or [])
    plan += [("pivot_root",)]
    if flags & NEWUTS:
        plan.append(("hostname", "trial"))
    return plan + (after or []) + program(args, env)
