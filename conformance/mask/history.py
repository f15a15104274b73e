"""What came to Linux with which release, and what older kernels answer: system calls, and flags that are in registers.

One row a feature.  `kernel` is the release that brought it; an older one gives the errno of the row's rules.  Rows with
a release before 4.18 are for single features only: no version profile goes back that far.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import E2BIG, EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP

from seatrial.conformance.mask.rule import Rule, bits, equal, least, other

# flags that the rows are about
CLONE_NEWTIME = 0x80
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # each type by itself
INFO = (0xC040FF0B, 0xC048FF0B, 0xC050FF0B)  # PIDFD_GET_INFO, whose number has the size of its structure


@dataclass(frozen=True, slots=True)
class Row:
    """A feature: its name, the first release with it, how it fails without, and where that is written."""

    name: str
    kernel: tuple[int, int]
    rules: tuple[Rule, ...]
    source: str


def call(name: str, major: int, minor: int, source: str = "") -> Row:
    """A whole system call: ENOSYS before."""
    return Row(name, (major, minor), (Rule(name, ENOSYS),), source or f"{name}(2)")


def flag(name: str, major: int, minor: int, rule: Rule, source: str) -> Row:
    """A flag, a command or a size that a system call takes since a release."""
    return Row(name, (major, minor), (rule,), source)


def clone3_larger(size: int) -> tuple[Rule, ...]:
    """clone3 with a structure of at least `size` bytes.

    A kernel that knows a shorter one looks whether the rest is zero; a filter sees the size alone.  glibc (2.34) gives
    the size of Linux 5.7 always, for threads too, and goes on to clone(2) after ENOSYS only: without an exception no
    program with threads would run, runtimes written in Go with cgo among them.  Its wrapper leaves the address of the
    thread's function in the third register, which others leave empty: with something there the answer is ENOSYS.
    """
    larger = least(1, size, wide=True)
    return (Rule("clone3", E2BIG, (larger, equal(2, 0, wide=True))), Rule("clone3", ENOSYS, (larger,)))


ROWS = (
    call("keyctl", 2, 6),
    call("add_key", 2, 6),
    call("request_key", 2, 6),
    call("statx", 4, 11),
    # -- 5.0 to 5.9 ----------------------------------------------------------------------------------------------------
    flag("seccomp-listener", 5, 0, Rule("seccomp", EINVAL, (equal(0, 1), bits(1, 0x8))), "seccomp_unotify(2)"),
    flag("seccomp-notif-sizes", 5, 0, Rule("seccomp", EINVAL, (equal(0, 3),)), "seccomp(2)"),
    call("pidfd_send_signal", 5, 1),
    call("io_uring_setup", 5, 1),
    call("io_uring_enter", 5, 1),
    call("io_uring_register", 5, 1),
    call("open_tree", 5, 2),
    call("move_mount", 5, 2),
    call("fsopen", 5, 2),
    call("fsconfig", 5, 2),
    call("fsmount", 5, 2),
    call("fspick", 5, 2),
    call("pidfd_open", 5, 3),
    call("clone3", 5, 3, "clone(2)"),
    flag("keyctl-capabilities", 5, 3, Rule("keyctl", EOPNOTSUPP, (equal(0, 31),)), "keyctl(2), KEYCTL_CAPABILITIES"),
    flag("waitid-pidfd", 5, 4, Rule("waitid", EINVAL, (equal(0, 3),)), "waitid(2), P_PIDFD"),
    flag("madvise-cold", 5, 4, Rule("madvise", EINVAL, (equal(2, 20, 21),)), "madvise(2), MADV_COLD, MADV_PAGEOUT"),
    Row("clone3-set-tid", (5, 5), clone3_larger(80), "clone(2), set_tid: E2BIG of copy_struct_from_user()"),
    call("openat2", 5, 6),
    call("pidfd_getfd", 5, 6),
    flag("unshare-time", 5, 6, Rule("unshare", EINVAL, (bits(0, CLONE_NEWTIME),)), "time_namespaces(7)"),
    flag("setns-time", 5, 6, Rule("setns", EINVAL, (bits(1, CLONE_NEWTIME),)), "time_namespaces(7)"),
    flag("getrandom-insecure", 5, 6, Rule("getrandom", EINVAL, (bits(2, 0x4),)), "getrandom(2), GRND_INSECURE"),
    flag("prctl-io-flusher", 5, 6, Rule("prctl", EINVAL, (equal(0, 57, 58),)), "prctl(2), PR_SET_IO_FLUSHER"),
    Row("clone3-cgroup", (5, 7), clone3_larger(88), "clone(2), cgroup: E2BIG of copy_struct_from_user()"),
    flag("seccomp-tsync-esrch", 5, 7, Rule("seccomp", EINVAL, (equal(0, 1), bits(1, 0x10))), "seccomp(2)"),
    flag("mremap-dontunmap", 5, 7, Rule("mremap", EINVAL, (bits(3, 0x4),)), "mremap(2), MREMAP_DONTUNMAP"),
    call("faccessat2", 5, 8, "access(2)"),
    flag("setns-several", 5, 8, Rule("setns", EINVAL, (other(1, 0, CLONE_NEWTIME, *NAMESPACES),)), "setns(2), pidfd"),
    call("close_range", 5, 9),
    flag("seccomp-addfd", 5, 9, Rule("ioctl", EINVAL, (equal(1, 0x40182103),)), "seccomp_unotify(2)"),
    # -- 5.10 to 5.19 --------------------------------------------------------------------------------------------------
    call("process_madvise", 5, 10),
    flag("pidfd-nonblock", 5, 10, Rule("pidfd_open", EINVAL, (bits(1, 0x800),)), "pidfd_open(2), PIDFD_NONBLOCK"),
    call("epoll_pwait2", 5, 11, "epoll_wait(2)"),
    flag("close-range-cloexec", 5, 11, Rule("close_range", EINVAL, (bits(2, 0x4),)), "close_range(2)"),
    flag("prctl-user-dispatch", 5, 11, Rule("prctl", EINVAL, (equal(0, 59),)), "PR_SET_SYSCALL_USER_DISPATCH(2const)"),
    call("mount_setattr", 5, 12),
    flag(
        "mempolicy-numa-balancing",
        5,
        12,
        Rule("set_mempolicy", EINVAL, (bits(0, 0x2000),)),
        "set_mempolicy(2), MPOL_F_NUMA_BALANCING",
    ),
    call("landlock_create_ruleset", 5, 13),
    call("landlock_add_rule", 5, 13),
    call("landlock_restrict_self", 5, 13),
    call("quotactl_fd", 5, 14, "quotactl(2)"),
    call("memfd_secret", 5, 14),
    flag("fsmount-nosymfollow", 5, 14, Rule("fsmount", EINVAL, (bits(2, 0x200000),)), "mount_setattr(2)"),
    flag("madvise-populate", 5, 14, Rule("madvise", EINVAL, (equal(2, 22, 23),)), "madvise(2), MADV_POPULATE_READ"),
    flag("prctl-sched-core", 5, 14, Rule("prctl", EINVAL, (equal(0, 62),)), "admin-guide/hw-vuln/core-scheduling"),
    call("process_mrelease", 5, 15, "kernel commit 884a7e5964e0"),
    flag(
        "move-mount-group", 5, 15, Rule("move_mount", EINVAL, (bits(4, 0x100),)), "MOVE_MOUNT_SET_GROUP, 9ffb14ef61ba"
    ),
    flag(
        "mempolicy-preferred-many",
        5,
        15,
        Rule("set_mempolicy", EINVAL, (equal(0, 5, 0x8005, 0x4005),)),
        "set_mempolicy(2), MPOL_PREFERRED_MANY",
    ),
    call("futex_waitv", 5, 16, "userspace-api/futex2"),
    call("set_mempolicy_home_node", 5, 17),
    flag("prctl-vma-name", 5, 17, Rule("prctl", EINVAL, (equal(0, 0x53564D41),)), "PR_SET_VMA(2const)"),
    flag("madvise-dontneed-locked", 5, 18, Rule("madvise", EINVAL, (equal(2, 24),)), "MADV_DONTNEED_LOCKED"),
    flag("seccomp-wait-killable", 5, 19, Rule("seccomp", EINVAL, (equal(0, 1), bits(1, 0x20))), "seccomp_unotify(2)"),
    # -- 6.0 to 6.9 ----------------------------------------------------------------------------------------------------
    flag("madvise-collapse", 6, 1, Rule("madvise", EINVAL, (equal(2, 25),)), "madvise(2), MADV_COLLAPSE"),
    flag("memfd-exec", 6, 3, Rule("memfd_create", EINVAL, (bits(1, 0x18),)), "memfd_create(2), MFD_EXEC"),
    flag("prctl-mdwe", 6, 3, Rule("prctl", EINVAL, (equal(0, 65, 66),)), "PR_SET_MDWE(2const)"),
    flag("prctl-memory-merge", 6, 4, Rule("prctl", EINVAL, (equal(0, 67, 68),)), "PR_SET_MEMORY_MERGE(2const)"),
    flag("prctl-auxv", 6, 4, Rule("prctl", EINVAL, (equal(0, 0x41555856),)), "PR_GET_AUXV(2const)"),
    call("cachestat", 6, 5, "kernel commit cf264e1329fb"),
    flag("move-mount-beneath", 6, 5, Rule("move_mount", EINVAL, (bits(4, 0x200),)), "move_mount(2)"),
    flag("name-to-handle-fid", 6, 5, Rule("name_to_handle_at", EINVAL, (bits(4, 0x200),)), "open_by_handle_at(2)"),
    call("fchmodat2", 6, 6, "chmod(2)"),
    call("map_shadow_stack", 6, 6, "kernel commit c35559f94ebc"),
    flag("fsconfig-create-excl", 6, 6, Rule("fsconfig", EOPNOTSUPP, (equal(1, 8),)), "fsconfig(2)"),
    flag("seccomp-notif-flags", 6, 6, Rule("ioctl", EINVAL, (equal(1, 0x40082104),)), "kernel commit 48a1084a8b74"),
    call("futex_wake", 6, 7, "kernel commit 9f6c532f59b2"),
    call("futex_wait", 6, 7, "kernel commit cb8c4312afca"),
    call("futex_requeue", 6, 7, "kernel commit 0f4b5f972216"),
    call("statmount", 6, 8),
    call("listmount", 6, 8),
    call("lsm_get_self_attr", 6, 8, "userspace-api/lsm"),
    call("lsm_set_self_attr", 6, 8, "userspace-api/lsm"),
    call("lsm_list_modules", 6, 8, "userspace-api/lsm"),
    flag("pidfd-thread", 6, 9, Rule("pidfd_open", EINVAL, (bits(1, 0x80),)), "pidfd_open(2), PIDFD_THREAD"),
    flag("pidfd-signal-scope", 6, 9, Rule("pidfd_send_signal", EINVAL, (bits(3, 0x7),)), "pidfd_send_signal(2)"),
    flag(
        "mempolicy-weighted",
        6,
        9,
        Rule("set_mempolicy", EINVAL, (equal(0, 6, 0x8006, 0x4006),)),
        "set_mempolicy(2), MPOL_WEIGHTED_INTERLEAVE",
    ),
    # -- 6.10 and later ------------------------------------------------------------------------------------------------
    call("mseal", 6, 10, "userspace-api/mseal"),
    flag("pidfd-ioctl", 6, 11, Rule("ioctl", ENOTTY, (equal(1, *range(0xFF01, 0xFF0B), *INFO),)), "linux/pidfd.h"),
    flag("name-to-handle-unique", 6, 12, Rule("name_to_handle_at", EINVAL, (bits(4, 0x1),)), "open_by_handle_at(2)"),
    call("setxattrat", 6, 13),
    call("getxattrat", 6, 13),
    call("listxattrat", 6, 13),
    call("removexattrat", 6, 13),
    flag("pidfd-info", 6, 13, Rule("ioctl", EINVAL, (equal(1, *INFO),)), "linux/pidfd.h, pidfd_ioctl()"),
    flag("madvise-guard", 6, 13, Rule("madvise", EINVAL, (equal(2, 102, 103),)), "madvise(2), MADV_GUARD_INSTALL"),
    flag("execveat-check", 6, 14, Rule("execveat", EINVAL, (bits(4, 0x10000),)), "userspace-api/check_exec"),
    call("open_tree_attr", 6, 15),
    call("file_getattr", 6, 17, "kernel commit be7efb2d20d6"),
    call("file_setattr", 6, 17, "kernel commit be7efb2d20d6"),
    call("listns", 6, 19, "kernel/nstree.c"),
    call("rseq_slice_yield", 7, 0, "kernel/rseq.c"),
)
BY_NAME = {row.name: row for row in ROWS}
