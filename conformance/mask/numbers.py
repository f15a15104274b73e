"""System call numbers, by the architecture that a seccomp filter is told (AUDIT_ARCH_*, linux/audit.h).

From pidfd_send_signal (Linux 5.1) on a call has the same number everywhere (alpha excepted: not supported here).  The
ABI x32 of x86-64 sets bit 30 in the number, and has numbers of its own for a few calls.
"""

from __future__ import annotations

X32_BIT = 0x40000000

X86_64, I386, AARCH64, ARM, RISCV64 = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028, 0xC00000F3

# os.uname().machine -> the architectures that programs on such a machine can have
MACHINES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM), "riscv64": (RISCV64,)}

COMMON = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "faccessat2": 439,
    "process_madvise": 440,
    "epoll_pwait2": 441,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "futex_waitv": 449,
    "set_mempolicy_home_node": 450,
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
    "rseq_slice_yield": 471,
}

# x86-64 (and x32 where it differs), i386, the generic table (aarch64, riscv64), arm
_OLDER: dict[str, tuple[tuple[int, ...], int, int, int]] = {
    "add_key": ((248,), 286, 217, 309),
    "execveat": ((322, 545), 358, 281, 387),
    "getrandom": ((318,), 355, 278, 384),
    "ioctl": ((16, 514), 54, 29, 54),
    "keyctl": ((250,), 288, 219, 311),
    "madvise": ((28,), 219, 233, 220),
    "memfd_create": ((319,), 356, 279, 385),
    "mremap": ((25,), 163, 216, 163),
    "name_to_handle_at": ((303,), 341, 264, 370),
    "prctl": ((157,), 172, 167, 172),
    "request_key": ((249,), 287, 218, 310),
    "seccomp": ((317,), 354, 277, 383),
    "set_mempolicy": ((238,), 276, 237, 321),
    "setns": ((308,), 346, 268, 375),
    "statx": ((332,), 383, 291, 397),
    "unshare": ((272,), 310, 97, 337),
    "waitid": ((247, 529), 284, 95, 280),
}
CALLS = frozenset(COMMON) | frozenset(_OLDER)


def numbers(architecture: int, call: str) -> tuple[int, ...]:
    """The numbers of a call on an architecture, without x32's bit.  KeyError for a call that is not in the tables."""
    if call in COMMON:
        return (COMMON[call],)
    x86_64, i386, generic, arm = _OLDER[call]
    if architecture == X86_64:
        return x86_64
    return ({I386: i386, AARCH64: generic, RISCV64: generic, ARM: arm}[architecture],)
