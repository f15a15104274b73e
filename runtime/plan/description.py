"""Operations in words.  Imported only where a plan is printed or an operation has failed."""

from __future__ import annotations

from seatrial.native import operations as table
from seatrial.runtime import capability
from seatrial.runtime.plan.encode import argument_names
from seatrial.runtime.spec import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.plan.operation import Operation

_MOUNT_FLAGS = (
    (0x1, "ro"), (0x2, "nosuid"), (0x4, "nodev"), (0x8, "noexec"), (0x10, "sync"), (0x20, "remount"), (0x40, "mand"),
    (0x80, "dirsync"), (0x100, "nosymfollow"), (0x400, "noatime"), (0x800, "nodiratime"), (0x1000, "bind"),
    (0x2000, "move"), (0x4000, "rec"), (0x8000, "silent"), (0x20000, "unbindable"), (0x40000, "private"),
    (0x80000, "slave"), (0x100000, "shared"), (0x200000, "relatime"), (0x800000, "iversion"),
    (0x1000000, "strictatime"), (0x2000000, "lazytime"),
)  # fmt: skip
_ATTRIBUTES = (
    (0x1, "ro"), (0x2, "nosuid"), (0x4, "nodev"), (0x8, "noexec"), (0x10, "noatime"), (0x20, "strictatime"),
    (0x80, "nodiratime"), (0x200000, "nosymfollow"),
)  # fmt: skip
_ATIME = 0x70  # MOUNT_ATTR__ATIME: a field, not a flag; 0 is relatime
_NAMESPACES = (
    (0x80, "time"), (0x20000, "mnt"), (0x2000000, "cgroup"), (0x4000000, "uts"), (0x8000000, "ipc"),
    (0x10000000, "user"), (0x20000000, "pid"), (0x40000000, "net"),
)  # fmt: skip
_RLIMITS = (
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
    "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
)  # fmt: skip
_POLICIES = ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE")
_POINTS = {
    table.SYNC_CGROUP: "wait for the parent: placement in the cgroups",
    table.SYNC_IDMAP: "wait for the parent: uid and gid maps",
    table.SYNC_NETWORK: "wait for the parent: network devices",
    table.SYNC_RUNTIME_HOOKS: "wait for the parent: cgroup limits, prestart and createRuntime hooks",
    table.SYNC_READY: "wait for the parent: record the created state",
    table.SYNC_START: "wait for the parent: start",
}

# Operation -> (title, details): format strings over the arguments, with the words that `_words` adds.
_FORMS: dict[str, tuple[str, str]] = {
    "sync": ("{point_text}", ""),
    "setns": ("join the {type_text} namespace", "fd {fd}"),
    "unshare": ("new {namespaces} namespace", ""),
    "clone": ("clone into a new process", "new namespaces: {namespaces}"),
    "timens_offsets": ("set time namespace offsets", "{offsets_text}"),
    "become_root": ("become root of the user namespace", "{setgroups_text}"),
    "nondumpable": ("make the executor non-dumpable", ""),
    "death_signal": ("set parent death signal {signal}", ""),
    "setsid": ("start a session", ""),
    "session_keyring": ("join a session keyring {name}", "permissions 0x{grant:x}"),
    "oom_score_adj": ("set oom_score_adj to {value}", ""),
    "loopback_up": ("bring the loopback interface up", ""),
    "hostname": ("set hostname {name}", ""),
    "domainname": ("set domainname {name}", ""),
    "reset_affinity": ("allow all CPUs", ""),
    "propagation": ("set propagation of host {path}", "{flags_text}"),
    "parent_private": ("make the mount that holds {path} private", ""),
    "open_root": ("open root {path}", "{bind_text}"),
    "mount": ("mount {source} on {target}", "type {fstype}, {flags_text}, {data}"),
    "bind": ("bind {source} on {target}", "{recursive_text}"),
    "bind_mapped": ("bind {source} on {target}", "{recursive_text}, id-mapped{map_text}"),
    "bind_inside": ("bind container path {source} on {target}", "{recursive_text}"),
    "remount": ("remount {target}", "{flags_text}, {clear_text}, {data}, {bind_text}"),
    "mount_attr": ("set mount attributes of {target}", "{flags_text}, {clear_text}, {recursive_text}"),
    "propagate": ("set propagation of {target}", "{flags_text}"),
    "copy_up": ("mount tmpfs with a copy of the content on {target}", "{flags_text}, {data}"),
    "mkdir": ("create directory {target}", "mode {mode:04o}"),
    "mknod": ("create {kind} {target}", "{numbers}, mode {permissions:04o}, owner {uid}:{gid}"),
    "bind_device": ("bind device {source} on {target}", ""),
    "symlink": ("create symlink {target}", "to {text}, {replace_text}"),
    "mask": ("mask {target}", ""),
    "readonly": ("make {target} read-only", ""),
    "pivot_root": ("pivot_root", ""),
    "move_root": ("move the root to / and chroot", ""),
    "chroot": ("chroot into the root", ""),
    "sysctl": ("set sysctl {key}", "{value}"),
    "null_stdio": ("reopen /dev/null on stdio", ""),
    "console": ("set up the console", "{width}x{height}, {uid_text}, {mount_text}"),
    "umask": ("set umask {mask:04o}", ""),
    "rlimit": ("set {resource_text}", "soft {soft_text}, hard {hard_text}"),
    "personality": ("set personality 0x{domain:x}", ""),
    "scheduler": (
        "set scheduler {policy_text}",
        "nice {nice}, priority {priority}, flags 0x{flags:x}, runtime {runtime}, deadline {deadline}, period {period}",
    ),
    "io_priority": ("set I/O priority", "class {io_class}, priority {io_level}"),
    "memory_policy": ("set memory policy {mode_text}", "{nodes_text}"),
    "no_new_privs": ("set no_new_privs", ""),
    "bounding": ("drop capabilities from the bounding set", "keep {keep_text}"),
    "keep_caps": ("{on_text} keeping capabilities over setuid", ""),
    "stdio_owner": ("give stdio to {uid_text}", ""),
    "groups": ("set supplementary groups", "{gids_text}"),
    "identity": ("become {uid_text}, {gid_text}", ""),
    "capset": (
        "set capabilities",
        "effective {effective_text}; permitted {permitted_text}; inheritable {inheritable_text}",
    ),
    "ambient": ("set ambient capabilities", "{raise_text}"),
    "chdir": ("change directory to {target}", "{create_text}"),
    "chdir_retry": ("change directory to {target} as the user, if refused before", ""),
    "seccomp": ("load the seccomp filter", "{instructions} instructions, flags 0x{flags:x}, {notify_text}"),
    "home": ("set HOME of {uid_text} unless set", ""),
    "find": ("find executable {file}", ""),
    "environment": ("set the environment", "{count} variables"),
    "hook": ("run {name} hook {path}", "{args_text}, {timeout_text}"),
    "gate": ("wait for the start signal", "fd {fd}"),
    "close_fds": ("mark descriptors from {keep} up close-on-exec", ""),
    "exec": ("execute {program}", "{args_text}"),
    "user": ("look user {user} up", "{group_text}"),
    "affinity": ("run on CPUs {cpus_text}", ""),
    "apparmor": ("apply AppArmor profile {profile}", ""),
    "selinux": ("set the SELinux label of {what_text}", "{label}"),
    "relabel": ("set the SELinux label of {target}", "{label}"),
    "mask_label": ("label what hides directories", "{label}"),
    "enter_root": ("chroot into the root of the container's init", "fd {fd}"),
}


def title(operation: Operation) -> str:
    """What is done to what: the head of an error message."""
    form, _ = _FORMS[operation.name]
    return form.format_map(_words(operation))


def describe(operation: Operation) -> str:
    """The title, and in parentheses the details."""
    form, details = _FORMS[operation.name]
    words = _words(operation)
    shown = [part for part in details.format_map(words).split(", ") if part] if details else []
    return form.format_map(words) + (f" ({', '.join(shown)})" if shown else "")


def _bits(value: int, names: tuple[tuple[int, str], ...]) -> str:
    """Comma separated names of the bits, then what is left in hexadecimal."""
    words = [name for bit, name in names if value & bit]
    rest = value & ~sum(bit for bit, _ in names)
    if rest:
        words.append(f"0x{rest:x}")
    return ",".join(words)


def _attributes(value: int) -> str:
    if value & _ATIME == _ATIME:  # clearing the field, as any change of atime must
        return ",".join(filter(None, (_bits(value & ~_ATIME, _ATTRIBUTES), "atime")))
    return _bits(value, _ATTRIBUTES)


def _capability_names(mask: int) -> str:
    return " ".join(name.removeprefix("CAP_") for name in capability.names(mask)) or "none"


def _limit(value: int) -> str:
    return "unlimited" if value == 2**64 - 1 else str(value)


def _name_of(number: int, names: tuple[str, ...]) -> str:
    return names[number] if number < len(names) else str(number)


def _words(operation: Operation) -> dict[str, Any]:
    """The operation's arguments and the words made of them."""
    words: dict[str, Any] = dict(zip(argument_names(operation.name), operation.values, strict=True))
    special = _SPECIAL.get(operation.name)
    if special:
        special(words)
    return words


def _flag(words: dict[str, Any], key: str, yes: str, no: str = "") -> None:
    words[f"{key}_text"] = yes if words[key] else no


def _sync(words: dict[str, Any]) -> None:
    words["point_text"] = _POINTS.get(words["point"], f"wait for the parent: point {words['point']}")


def _namespaces(words: dict[str, Any]) -> None:
    words["namespaces"] = _bits(words["flags"], _NAMESPACES) or "none"


def _setns(words: dict[str, Any]) -> None:
    words["type_text"] = _bits(words["type"], _NAMESPACES)


def _mount(words: dict[str, Any]) -> None:
    words["flags_text"] = _bits(words["flags"], _MOUNT_FLAGS)


def _open_root(words: dict[str, Any]) -> None:
    _flag(words, "bind", "bind mount on itself")


def _recursive(words: dict[str, Any]) -> None:
    _flag(words, "recursive", "recursive")


def _bind_mapped(words: dict[str, Any]) -> None:
    _recursive(words)
    reach = " with all below it" if words["map_recursive"] else ""
    lines = [f"{key[0]} {' '.join(words[key].splitlines())}" for key in ("uids", "gids") if words[key]]
    words["map_text"] = f"{reach}: {'; '.join(lines) or 'as the container'}"


def _remount(words: dict[str, Any]) -> None:
    words["flags_text"] = _bits(words["set"], _MOUNT_FLAGS) or "no flags"
    words["clear_text"] = f"clear {_bits(words['clear'], _MOUNT_FLAGS)}" if words["clear"] else ""
    _flag(words, "bind", "", "the filesystem itself")


def _mount_attr(words: dict[str, Any]) -> None:
    words["flags_text"] = f"set {_attributes(words['set'])}" if words["set"] else ""
    words["clear_text"] = f"clear {_attributes(words['clear'])}" if words["clear"] else ""
    _recursive(words)


def _mknod(words: dict[str, Any]) -> None:
    kind = words["mode"] & 0o170000
    words["kind"] = {0o020000: "character device", 0o060000: "block device", 0o010000: "fifo"}.get(kind, "node")
    device = words["device"]
    # makedev(3): 12 low bits of the major at 8, the rest at 32; 8 low bits of the minor at 0, the rest at 12.
    major = device >> 8 & 0xFFF | device >> 32 & 0xFFFFF000
    minor = device & 0xFF | device >> 12 & 0xFFFFFF00
    words["numbers"] = "" if kind == 0o010000 else f"{major}:{minor}"
    words["permissions"] = words["mode"] & 0o7777


def _ids(words: dict[str, Any]) -> None:
    for key, name in (("uid", "the user"), ("gid", "its group")):
        if key in words:
            words[f"{key}_text"] = f"{name} found" if words[key] == table.USER_FOUND else f"{key} {words[key]}"


def _console(words: dict[str, Any]) -> None:
    _ids(words)
    _flag(words, "mount", "mounted on /dev/console")


def _cpus(words: dict[str, Any]) -> None:
    mask = int.from_bytes(words["cpus"], "little")
    words["cpus_text"] = " ".join(str(cpu) for cpu in range(mask.bit_length()) if mask >> cpu & 1) or "none"


def _keyed(key: str, yes: str, no: str = "") -> Any:
    return lambda words: _flag(words, key, yes, no)


def _rlimit(words: dict[str, Any]) -> None:
    number = words["resource"]
    words["resource_text"] = f"RLIMIT_{_RLIMITS[number]}" if number < len(_RLIMITS) else f"rlimit {number}"
    words["soft_text"], words["hard_text"] = _limit(words["soft"]), _limit(words["hard"])


def _io_priority(words: dict[str, Any]) -> None:
    words["io_class"], words["io_level"] = words["value"] >> 13, words["value"] & 0x1FFF


def _memory_policy(words: dict[str, Any]) -> None:
    flags = [name for name, bit in names.MEMORY_POLICY_FLAGS.items() if words["mode"] & bit]
    mode = words["mode"] & ~sum(names.MEMORY_POLICY_FLAGS.values())
    known = [name for name, number in names.MEMORY_POLICY_MODES.items() if number == mode]
    words["mode_text"] = "|".join([*(known or [str(mode)]), *flags])
    words["nodes_text"] = f"nodes {' '.join(map(str, words['nodes']))}" if words["nodes"] else ""


def _masks(words: dict[str, Any]) -> None:
    for key in list(words):
        words[f"{key}_text"] = _capability_names(words[key])


def _seccomp(words: dict[str, Any]) -> None:
    words["instructions"] = len(words["filter"]) // 8
    _flag(words, "notify", "with a listener")


def _program(words: dict[str, Any]) -> None:
    words["program"] = words["args"][0] if words["args"] else ""
    words["args_text"] = " ".join(repr(word) if not word or " " in word else word for word in words["args"])


def _hook(words: dict[str, Any]) -> None:
    _program(words)
    words["timeout_text"] = f"timeout {words['timeout']} s" if words["timeout"] else ""


_SPECIAL: dict[str, Any] = {
    "selinux": lambda words: words.update(what_text="new keys" if words["what"] else "the program"),
    "sync": _sync,
    "setns": _setns,
    "unshare": _namespaces,
    "clone": _namespaces,
    "timens_offsets": lambda words: words.update(offsets_text=", ".join(words["offsets"].splitlines())),
    "become_root": _keyed("setgroups", "drop supplementary groups", "keep supplementary groups"),
    "propagation": _mount,
    "open_root": _open_root,
    "mount": _mount,
    "bind": _recursive,
    "bind_mapped": _bind_mapped,
    "bind_inside": _recursive,
    "remount": _remount,
    "mount_attr": _mount_attr,
    "propagate": _mount,
    "copy_up": _mount,
    "mknod": _mknod,
    "symlink": _keyed("replace", "replacing"),
    "console": _console,
    "stdio_owner": _ids,
    "identity": _ids,
    "home": _ids,
    "user": lambda words: words.update(group_text=f"group {words['group']}" if words["group"] else ""),
    "affinity": _cpus,
    "rlimit": _rlimit,
    "scheduler": lambda words: words.update(policy_text=_name_of(words["policy"], _POLICIES)),
    "io_priority": _io_priority,
    "memory_policy": _memory_policy,
    "bounding": _masks,
    "keep_caps": _keyed("on", "start", "stop"),
    "groups": lambda words: words.update(gids_text=" ".join(map(str, words["gids"])) or "none"),
    "capset": _masks,
    "ambient": _masks,
    "chdir": _keyed("create", "creating it"),
    "seccomp": _seccomp,
    "environment": lambda words: words.update(count=len(words["env"])),
    "hook": _hook,
    "exec": _program,
}
