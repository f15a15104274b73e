"""The masks of single features: what a kernel lacks, or what stands between a runtime and the kernel.

Not every older kernel is a mainline one.  A seccomp profile around the runtime (an engine that is older than the
kernel, a build service) refuses with EPERM, and vendor kernels carry half of a feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import ENOENT, ENOSYS, EPERM

from seatrial.conformance.mask.history import BY_NAME
from seatrial.conformance.mask.rule import Rule, bits, equal


@dataclass(frozen=True, slots=True)
class Feature:
    """A mask: its name, the rows of history.py that are missing under it, its rules, and who meets such a kernel."""

    name: str
    rows: tuple[str, ...]
    rules: tuple[Rule, ...]
    about: str


def without(name: str, about: str, *rows: str) -> Feature:
    """The rows fail as in a kernel that does not have them."""
    return Feature(name, rows, tuple(rule for row in rows for rule in BY_NAME[row].rules), about)


def refused(name: str, errno: int, about: str, *rows: str) -> Feature:
    """The rows' calls fail with an errno of their own."""
    rules = tuple(Rule(rule.call, errno, rule.tests) for row in rows for rule in BY_NAME[row].rules)
    return Feature(name, rows, rules, about)


MOUNT_API = ("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr")
SETATTR = ("mount_setattr", "open_tree_attr")
PIDFD = ("pidfd_open", "pidfd_send_signal", "pidfd_getfd", "waitid-pidfd")

FEATURES = (
    without("no-clone3", "before Linux 5.3", "clone3"),
    without("no-clone-into-cgroup", "Linux 5.3 to 5.6: clone3 without the cgroup member", "clone3-cgroup"),
    Feature(
        "clone3-eperm",
        ("clone3",),
        # As for the size (clone3_larger): glibc itself gives up after EPERM, and no program with threads would run.
        (Rule("clone3", EPERM, (equal(2, 0, wide=True),)), Rule("clone3", ENOSYS)),
        "the seccomp profile of an engine that does not know clone3 (moby 42680)",
    ),
    without("no-openat2", "before Linux 5.6", "openat2"),
    refused("openat2-eperm", EPERM, "the seccomp profile of an older engine", "openat2"),
    without("no-mount-api", "before Linux 5.2: mount(2) alone", *MOUNT_API),
    refused("mount-api-eperm", EPERM, "a seccomp profile that knows mount(2) alone", *MOUNT_API),
    without("no-mount-setattr", "before Linux 5.12: no idmapped mounts, no recursive attributes", *SETATTR),
    without("no-pidfd", "before Linux 5.1: processes are known by their pids", *PIDFD),
    without("no-close-range", "before Linux 5.9", "close_range"),
    without("no-close-range-cloexec", "Linux 5.9 and 5.10", "close-range-cloexec"),
    without("no-memfd-exec", "before Linux 6.3: memfd_create without MFD_EXEC and MFD_NOEXEC_SEAL", "memfd-exec"),
    without("no-faccessat2", "before Linux 5.8", "faccessat2"),
    without("no-fchmodat2", "before Linux 6.6", "fchmodat2"),
    Feature(
        "fchmodat2-enoent",
        ("fchmodat2",),
        (Rule("fchmodat2", ENOENT, (bits(3, 0x1000),)),),
        "a vendor kernel with fchmodat2 but without its AT_EMPTY_PATH (runc 5415)",
    ),
    without("no-statx", "before Linux 4.11, and old seccomp profiles", "statx"),
    without("no-seccomp-listener", "before Linux 5.0: no notification of a system call", "seccomp-listener"),
    without("no-time-ns", "before Linux 5.6, or built without time namespaces", "unshare-time", "setns-time"),
    without("no-keyctl", "built without keyrings", "keyctl", "add_key", "request_key"),
)
BY_NAME_OF_FEATURE = {feature.name: feature for feature in FEATURES}
