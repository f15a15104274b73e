"""What to do about a failed operation: hints for the failures that a missing privilege brings about.

Imported only when something has failed.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.plan.operation import Operation

_NEWUSER = 0x10000000
_REFUSED = (errno.EPERM, errno.EACCES)

# operation -> why it is refused, for EPERM and EACCES
_PRIVILEGE = {
    "oom_score_adj": "lowering it needs CAP_SYS_RESOURCE on the host; the lowest value that this user may set is that "
    "of the runtime itself",
    "rlimit": "a hard limit above the runtime's own needs CAP_SYS_RESOURCE on the host",
    "groups": "setgroups(2) is denied in this user namespace: its gid map was written without privilege",
    "scheduler": "a real-time policy or a lower nice value needs CAP_SYS_NICE on the host",
    "io_priority": "the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN on the host",
    "mknod": "device nodes can be made only in the initial user namespace",
    "setns": "joining a namespace needs CAP_SYS_ADMIN in the user namespace that owns it: join that one as well",
    "hostname": "needs a new uts namespace, or one of the container's user namespace",
    "sysctl": "the key belongs to the host, or to a namespace that the container shares with it",
    "remount": "the flags of a mount from a more privileged mount namespace are locked (mount_namespaces(7))",
    "mount_attr": "the flags of a mount from a more privileged mount namespace are locked (mount_namespaces(7))",
    "pivot_root": "needs a mount namespace of the container's own",
}

# file system -> why it cannot be mounted, for EPERM and EACCES
_FILESYSTEMS = {
    "sysfs": "only the owner of the network namespace may mount sysfs: bind mount the host's /sys, as "
    "`spec --rootless` does, or ask for a new network namespace",
    "proc": "a user namespace may mount proc only with a new pid namespace, and where none of the host's is covered",
    "mqueue": "a user namespace may mount mqueue only with a new ipc namespace",
    "cgroup": "a user namespace may mount cgroups only with a new cgroup namespace",
    "cgroup2": "a user namespace may mount cgroups only with a new cgroup namespace",
}


def hint(operation: Operation, number: int) -> str:
    """The hint for a failed operation; "" when there is none.  `number` is its errno."""
    if operation.name in ("unshare", "clone") and operation.values and _has_newuser(operation.values[0]):
        return _no_user_namespace(number)
    if operation.name == "identity" and number == errno.EINVAL:
        return "process.user.uid or gid is not mapped in the user namespace"
    if operation.name == "groups" and number == errno.EINVAL:
        return "a gid of process.user.additionalGids is not mapped in the user namespace"
    if operation.name == "bind_device" and number == errno.ENOENT:
        return "in a user namespace a device is a bind mount of the host's, which does not exist"
    if number not in _REFUSED:
        return ""
    return _specific(operation) or user_namespace_hint()


def _specific(operation: Operation) -> str:
    if operation.name != "mount":
        return _PRIVILEGE.get(operation.name, "")
    fstype = str(operation.values[2])
    if not _unprivileged():
        return ""
    known = _FILESYSTEMS.get(fstype)
    if known is None and fstype not in ("tmpfs", "devpts", "ramfs", "overlay", "fuse", "binfmt_misc"):
        return f"file system {fstype} cannot be mounted in a user namespace"
    return known or ""


def _has_newuser(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & _NEWUSER)


def _no_user_namespace(number: int) -> str:
    if number in (errno.EINVAL, errno.ENOSYS):
        return "this kernel has no user namespaces (CONFIG_USER_NS)"
    if number in (errno.ENOSPC, errno.EUSERS):
        limit = _sysctl("user/max_user_namespaces")
        return f"the sysctl user.max_user_namespaces is {limit or 'exceeded'}, or namespaces are nested 32 deep"
    return user_namespace_hint() or "the kernel or a security module forbids user namespaces to this user"


def user_namespace_hint() -> str:
    """Which sysctl keeps user namespaces from an ordinary user, if any does."""
    if not _unprivileged():
        return ""
    if _sysctl("kernel/unprivileged_userns_clone") == "0":  # Debian and Ubuntu have it
        return "the sysctl kernel.unprivileged_userns_clone is 0: user namespaces are for root"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":  # Ubuntu, since 23.10
        return (
            "the sysctl kernel.apparmor_restrict_unprivileged_userns is 1: give the runtime an AppArmor profile with "
            "`userns,`, or set it to 0"
        )
    return ""


def _unprivileged() -> bool:
    """Whether this process lacks the privileges of the initial user namespace's root."""
    if os.geteuid() != 0:
        return True
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def _sysctl(name: str) -> str:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
