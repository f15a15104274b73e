"""What the arguments of a plan's operations mean, and how each can be weakened.

The operation table (seatrial.native.operations) gives the types on the wire; here each argument gets its meaning: a
flag word, a mode, an id, a path, a limit.  A rule takes a value and returns the weaker one; one that returns the value
itself does not apply.  Imported by every process of a mutant: nothing but the operation table is needed.
"""

from __future__ import annotations

from seatrial.native.operations import OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FLAGS, MODE, ID, PATH, NUMBER, LIMIT, SWITCH = "flags", "mode", "id", "path", "number", "limit", "switch"
TEXT, TEXTS, SET, CAPABILITIES, BYTES, FILTER = "text", "texts", "set", "capabilities", "bytes", "filter"

# By the argument's name; "operation.argument" where a name means something else in one operation.
MEANINGS = {
    "flags": FLAGS, "set": FLAGS, "clear": FLAGS, "grant": FLAGS, "type": NUMBER, "point": NUMBER, "fd": NUMBER,
    "offsets": TEXT, "setgroups": SWITCH, "signal": NUMBER, "name": TEXT, "value": LIMIT, "sysctl.value": TEXT,
    "path": PATH, "source": PATH, "target": PATH, "file": PATH, "key": PATH, "bind": SWITCH, "recursive": SWITCH,
    "replace": SWITCH, "fstype": TEXT, "data": TEXT, "mode": MODE, "mount.mode": SWITCH, "memory_policy.mode": NUMBER,
    "device": NUMBER, "uid": ID, "gid": ID, "text": PATH, "width": NUMBER, "height": NUMBER, "mount": SWITCH,
    "mask": MODE, "resource": NUMBER, "soft": LIMIT, "hard": LIMIT, "domain": NUMBER, "policy": NUMBER, "nice": LIMIT,
    "priority": NUMBER, "runtime": LIMIT, "deadline": LIMIT, "period": LIMIT, "keep": CAPABILITIES,
    "close_fds.keep": NUMBER, "on": SWITCH, "gids": SET, "effective": CAPABILITIES, "permitted": CAPABILITIES,
    "inheritable": CAPABILITIES, "raise": CAPABILITIES, "create": SWITCH, "filter": FILTER, "notify": SWITCH,
    "env": TEXTS, "args": TEXTS, "timeout": LIMIT, "before_pid": BYTES, "after_pid": BYTES, "user": TEXT, "group": TEXT,
    "cpus": BYTES, "uids": TEXT, "bind_mapped.gids": TEXT, "map_recursive": SWITCH, "nodes": SET, "profile": TEXT,
    "what": NUMBER, "label": TEXT,
}  # fmt: skip

# The argument that tells operations of one name apart.
KEYS = {
    "sync": "point", "setns": "type", "mount": "target", "bind": "target", "remount": "target", "propagate": "target",
    "propagation": "path", "mkdir": "target", "mknod": "target", "symlink": "target", "mask": "target",
    "readonly": "target", "rlimit": "resource", "keep_caps": "on", "hook": "name", "sysctl": "key",
    "bind_device": "target",
}  # fmt: skip

LAST_CAPABILITY = 40  # CAP_CHECKPOINT_RESTORE, capabilities(7)
_ALL_CAPABILITIES = (1 << (LAST_CAPABILITY + 1)) - 1
_RET_ALLOW = bytes((6, 0, 0, 0, 0, 0, 0xFF, 0x7F))  # struct sock_filter: BPF_RET | BPF_K, SECCOMP_RET_ALLOW
_MAXIMA = {"u32": (1 << 32) - 1, "u64": (1 << 64) - 1, "i64": (1 << 63) - 1}

ARGUMENTS = {
    name: tuple((argument.partition(":")[0], argument.partition(":")[2]) for argument in arguments)
    for name, _, arguments, _ in OPERATIONS
}


def meaning(operation: str, argument: str) -> str:
    """The meaning of an operation's argument.  Raises KeyError for one that the table above does not know."""
    return MEANINGS.get(f"{operation}.{argument}") or MEANINGS[argument]


def weaker(operation: str, argument: str, wire: str, value: Any) -> dict[str, Any]:
    """Rule -> weaker value, for every rule that changes the value."""
    kind = meaning(operation, argument)
    found = _flags(value) if kind == FLAGS else {rule: change(value, wire) for rule, change in RULES[kind].items()}
    return {rule: changed for rule, changed in found.items() if changed != value}


def _flags(value: int) -> dict[str, int]:
    return {f"without {1 << bit:#x}": value & ~(1 << bit) for bit in range(64) if value >> bit & 1}


def _lowest(value: int) -> int:
    return value & (value - 1)


def _one_more(value: int) -> int:
    return (value | (value + 1)) & _ALL_CAPABILITIES


def _plus_one(value: int, wire: str) -> int:
    return value + 1 if value < _MAXIMA[wire] else value - 1


def _first(value: Any, _wire: str) -> Any:
    return type(value)(value[:1])


def _reversed(value: Any, _wire: str) -> Any:
    return type(value)(value[::-1])


RULES: dict[str, dict[str, Callable[[Any, str], Any]]] = {
    # The type bits of a device's mode stay.
    MODE: {"0777": lambda value, _: value & ~0o7777 | 0o777, "0000": lambda value, _: value & ~0o7777},
    ID: {"0": lambda value, _: 0, "plus 1": _plus_one},
    PATH: {"emptied": lambda value, _: "", "root": lambda value, _: "/"},
    NUMBER: {"0": lambda value, _: 0, "plus 1": _plus_one},
    LIMIT: {"0": lambda value, _: 0, "plus 1": _plus_one, "maximum": lambda value, wire: _MAXIMA[wire]},
    SWITCH: {"flipped": lambda value, _: 0 if value else 1},
    TEXT: {"emptied": lambda value, _: "", "longer": lambda value, _: value + "x" if value else value},
    TEXTS: {"emptied": lambda value, _: type(value)(), "first only": _first, "reversed": _reversed},
    SET: {"emptied": lambda value, _: type(value)(), "first only": _first},  # the kernel sorts it
    CAPABILITIES: {
        "emptied": lambda value, _: 0,
        "all": lambda value, _: _ALL_CAPABILITIES,
        "one fewer": lambda value, _: _lowest(value),
        "one more": lambda value, _: _one_more(value),
    },
    BYTES: {"emptied": lambda value, _: b"", "all ones": lambda value, _: b"\xff" * len(value)},
    FILTER: {"allows all": lambda value, _: _RET_ALLOW},
}
