"""Which neighbours in a plan may not change places: what each operation sets up, and what it looks at.

Two operations commute unless one sets up what the other one sets up or looks at.  Only neighbours that do not commute
are swapped: the others make no mutant at all.
"""

from __future__ import annotations

# operation: (what it changes, what it depends on)
_TABLE = {
    "sync": ("parent", "namespaces mounts root"),
    "setns": ("namespaces", "identity"),
    "unshare": ("namespaces", "identity"),
    "clone": ("namespaces process", "identity"),
    "timens_offsets": ("namespaces", "identity"),
    "become_root": ("identity", "namespaces"),
    "nondumpable": ("dumpable", "namespaces"),
    "death_signal": ("process", "identity"),
    "setsid": ("session", "process"),
    "session_keyring": ("keyring", "namespaces process"),
    "oom_score_adj": ("oom", "identity namespaces"),
    "loopback_up": ("network", "namespaces"),
    "hostname": ("uts", "namespaces"),
    "domainname": ("uts-domain", "namespaces"),
    "reset_affinity": ("affinity", "parent"),
    "propagation": ("mounts", "namespaces"),
    "parent_private": ("mounts", "namespaces"),
    "open_root": ("mounts root", "namespaces"),
    "mount": ("mounts", "root namespaces"),
    "bind": ("mounts", "root namespaces"),
    "bind_mapped": ("mounts", "root namespaces"),
    "bind_inside": ("mounts", "root namespaces"),
    "remount": ("mounts", "root"),
    "mount_attr": ("mounts", "root"),
    "propagate": ("mounts", "root"),
    "copy_up": ("mounts", "root"),
    "mkdir": ("files", "mounts root"),
    "mknod": ("files", "mounts root"),
    "bind_device": ("mounts", "files root"),
    "symlink": ("files", "mounts root"),
    "mask": ("mounts", "root"),
    "readonly": ("mounts", "root"),
    "pivot_root": ("root", "mounts files"),
    "move_root": ("root", "mounts files"),
    "chroot": ("root", "mounts files"),
    "enter_root": ("root", "namespaces"),
    "sysctl": ("sysctl", "mounts root namespaces"),
    "null_stdio": ("stdio", "root files mounts"),
    "console": ("stdio files mounts", "root session"),
    "umask": ("umask", "files"),
    "rlimit": ("limits", "identity"),
    "personality": ("personality", ""),
    "scheduler": ("scheduler", "identity limits"),
    "io_priority": ("io-priority", "identity"),
    "no_new_privs": ("privileges", ""),
    "bounding": ("bounding", "identity capabilities"),
    "keep_caps": ("keep", "capabilities"),
    "stdio_owner": ("stdio", "identity capabilities"),
    "groups": ("identity", "capabilities"),
    "identity": ("identity capabilities", "keep"),
    "capset": ("capabilities", "keep"),
    "ambient": ("ambient", "capabilities"),
    "chdir": ("directory", "identity mounts root files"),
    "chdir_retry": ("directory", "identity mounts root files"),
    "seccomp": ("filter", "privileges capabilities identity"),
    "home": ("environment", "root"),
    "find": ("program", "environment directory identity"),
    "environment": ("environment", ""),
    "hook": ("parent", "namespaces mounts root filter"),
    "gate": ("parent", "filter"),
    "close_fds": ("descriptors", "stdio"),
    "exec": ("program process", "environment directory identity filter descriptors"),
    "user": ("user", "root"),
    "affinity": ("affinity", "parent"),
    "memory_policy": ("memory", ""),
    "apparmor": ("label", "identity mounts"),
    "selinux": ("label", "identity mounts"),
    "relabel": ("files", "mounts root"),
    "mask_label": ("label", ""),
}

EFFECTS = {name: (frozenset(sets.split()), frozenset(uses.split())) for name, (sets, uses) in _TABLE.items()}


def commute(first: str, second: str) -> bool:
    """Whether two operations may change places without anybody noticing, by the table."""
    (sets, uses), (other_sets, other_uses) = EFFECTS[first], EFFECTS[second]
    return not (sets & other_sets or sets & other_uses or uses & other_sets)
