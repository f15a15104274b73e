"""Device rules: what a list of them means, and what cgroup v1 can hold of it.

The meaning (config-linux.md#allowed-device-list): entries are applied in order, so the last entry that matches a device
and a permission decides about it; before the first, nothing is allowed.  `decide` is that sentence as a function, and
the v2 program (device_program.py) does exactly the same.

A v1 cgroup holds less: a default (allow or deny all) and a set of exceptions, each a type, numbers or wildcards, and
permissions.  `emulate` makes that from the rules, or raises ConfigError for a rule that asks for a hole in a wildcard.
One hole is let through on v1: mknod alone.  Engines send ``deny c 10:229 rwm`` while the runtime supplies ``allow c *:*
m``, and a node that can be made but neither read nor written gives no access.
"""

from __future__ import annotations

from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from seatrial.runtime.config import DeviceRule

    Key: TypeAlias = tuple[str, int | None, int | None]  # type "b" or "c", major, minor; None: any

PATH = "linux.resources.devices"
ALL = "rwm"


def is_total(rule: DeviceRule) -> bool:
    """Whether the rule covers every device and permission, and so makes all rules before it void."""
    return rule.type == "a" and rule.major is None and rule.minor is None and set(rule.access) >= set(ALL)


def types_of(rule: DeviceRule) -> str:
    """The device types that the rule is about, "a" spelled out."""
    return "bc" if rule.type == "a" else rule.type


def decide(rules: list[DeviceRule], type: str, major: int, minor: int, access: str) -> bool:
    """Whether the rules allow every permission of `access` on a device."""
    for permission in access:
        allowed = False
        for rule in rules:
            if (
                type in types_of(rule)
                and rule.major in (None, major)
                and rule.minor in (None, minor)
                and permission in rule.access
            ):
                allowed = rule.allow
        if not allowed:
            return False
    return True


def _covers(wide: Key, narrow: Key) -> bool:
    return wide[0] == narrow[0] and wide[1] in (None, narrow[1]) and wide[2] in (None, narrow[2])


def _overlap(one: Key, other: Key) -> bool:
    return (
        one[0] == other[0]
        and (one[1] is None or other[1] is None or one[1] == other[1])
        and (one[2] is None or other[2] is None or one[2] == other[2])
    )


def _number(value: int | None) -> str:
    return "*" if value is None else str(value)


class DeviceState:
    """What a v1 device cgroup holds: a default and exceptions from it (permissions as a set of letters)."""

    __slots__ = ("allow_by_default", "exceptions")

    def __init__(self, allow_by_default: bool = False, exceptions: dict[Key, set[str]] | None = None) -> None:
        self.allow_by_default = allow_by_default
        self.exceptions: dict[Key, set[str]] = exceptions or {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeviceState):
            return NotImplemented
        return self.allow_by_default == other.allow_by_default and self.exceptions == other.exceptions

    __hash__ = None  # type: ignore[assignment]  # it changes

    @classmethod
    def parse(cls, devices_list: str) -> DeviceState:
        """From devices.list.  A cgroup that allows by default shows no exceptions: they are unknown then."""
        state = cls()
        for line in devices_list.splitlines():
            type, numbers, access = line.split()
            if type == "a":
                return cls(allow_by_default=True)
            major, _, minor = numbers.partition(":")
            key = (type, None if major == "*" else int(major), None if minor == "*" else int(minor))
            state.exceptions[key] = set(access)
        return state

    def lines(self) -> list[str]:
        """As devices.list shows it."""
        if self.allow_by_default:
            return ["a *:* rwm"]
        return [_line(key, access) for key, access in self.exceptions.items()]

    def transition(self, wanted: DeviceState) -> list[tuple[str, str]]:
        """The writes, as (file, text), that make this state the wanted one; what both allow stays allowed meanwhile."""
        add, remove = "devices.allow", "devices.deny"
        if wanted.allow_by_default:
            add, remove = remove, add
        writes = []
        have = self.exceptions
        if wanted.allow_by_default or self.allow_by_default:
            writes.append((remove, "a"))  # sets the default and clears the exceptions, which nobody can read
            have = {}
        for key, access in wanted.exceptions.items():
            new = access - have.get(key, set())
            if new:
                writes.append((add, _line(key, new)))
        for key, access in have.items():
            old = access - wanted.exceptions.get(key, set())
            if old:
                writes.append((remove, _line(key, old)))
        return writes

    def _except(self, rule: DeviceRule) -> None:
        """A rule against the default: one more exception."""
        for type in types_of(rule):
            self.exceptions.setdefault((type, rule.major, rule.minor), set()).update(rule.access)

    def _restore(self, rule: DeviceRule, index: int) -> None:
        """A rule in the default's sense: take permissions out of the exceptions that it covers."""
        for type in types_of(rule):
            key = (type, rule.major, rule.minor)
            for other, access in list(self.exceptions.items()):
                if _covers(key, other):
                    access -= set(rule.access)
                    if not access:
                        del self.exceptions[other]
                elif _overlap(key, other) and access & set(rule.access) - {"m"}:
                    raise ConfigError(
                        f"{PATH}[{index}]",
                        f"{'allow' if rule.allow else 'deny'} {_line(key, set(rule.access))} makes a hole in "
                        f"{_line(other, access)}, which cgroup v1 cannot express",
                        "list the devices one by one",
                    )


def _line(key: Key, access: set[str]) -> str:
    return f"{key[0]} {_number(key[1])}:{_number(key[2])} {''.join(letter for letter in ALL if letter in access)}"


def emulate(rules: list[DeviceRule]) -> DeviceState:
    """The v1 state that the rules lead to, starting from "deny all".  Indices in errors count the given list."""
    state = DeviceState()
    for index, rule in enumerate(rules):
        if is_total(rule):
            state = DeviceState(allow_by_default=rule.allow)
        elif rule.allow != state.allow_by_default:
            state._except(rule)
        else:
            state._restore(rule, index)
    return state


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace other than the initial one (as its uid map tells)."""
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False
