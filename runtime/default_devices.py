"""The devices that every container gets (config-linux.md#default-devices), and the rules that let it use them."""

from __future__ import annotations

from seatrial.runtime.config import Device, DeviceRule

# path -> major, minor of the character devices; /dev/ptmx, /dev/console and the symlinks are the compiler's business.
DEFAULT_DEVICES = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}


def with_defaults(devices: list[Device]) -> list[Device]:
    """The default devices, those that `devices` redefines left out, then `devices`."""
    redefined = {device.path for device in devices}
    return [
        Device(path=path, type="c", major=major, minor=minor)
        for path, (major, minor) in DEFAULT_DEVICES.items()
        if path not in redefined
    ] + devices


def default_rules(redefined: set[str]) -> list[DeviceRule]:
    """Rules for the default devices except redefined paths: mknod of anything, use of these, ptys and tun."""
    rules = [DeviceRule(allow=True, type=type, access="m") for type in ("c", "b")]
    rules += [
        DeviceRule(allow=True, type="c", major=major, minor=minor)
        for path, (major, minor) in DEFAULT_DEVICES.items()
        if path not in redefined
    ]
    rules.append(DeviceRule(allow=True, type="c", major=5, minor=2))  # /dev/ptmx
    rules.append(DeviceRule(allow=True, type="c", major=136))  # /dev/pts/*
    rules.append(DeviceRule(allow=True, type="c", major=10, minor=200))  # /dev/net/tun
    return rules


def complete_rules(rules: list[DeviceRule], redefined: set[str]) -> list[DeviceRule]:
    """The whole list for the device cgroup: deny all, the user's rules, and the defaults among them.

    The spec has both "entries are applied in the listed order" and "these devices are supplied".  The defaults go
    behind the last rule that denies more than one device, so that ``deny all`` does not take /dev/null away, while a
    later rule that denies exactly one default device holds.  No rules at all: no filter.
    """
    if not rules:
        return []
    last_wide = 0
    for index, rule in enumerate(rules, start=1):
        if not rule.allow and (rule.type == "a" or rule.major is None or rule.minor is None):
            last_wide = index
    first = rules[0]
    head = [] if first.type == "a" and not first.allow and first.access == "rwm" else [DeviceRule(allow=False)]
    return [*head, *rules[:last_wide], *default_rules(redefined), *rules[last_wide:]]
