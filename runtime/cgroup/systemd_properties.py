"""What systemd is told about a container: limits, devices and annotations as unit properties.

systemd.resource-control(5); D-Bus names and types: org.freedesktop.systemd1(5).  A property is (name, (signature,
value)).  systemd keeps a unit's limits itself and writes them again on a daemon-reload, so what it knows of has to
agree with the cgroup files; limits without a property are written to the files alone.
"""

from __future__ import annotations

from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from seatrial.runtime.config import DeviceRule, Resources

    Property: TypeAlias = tuple[str, tuple[str, Any]]

INFINITY = (1 << 64) - 1
ANNOTATION = "org.systemd.property."
_PERIOD = 100_000  # the kernel's, in microseconds
_PERCENT = 10_000  # microseconds of a second: what systemd counts quotas in


def limits(resources: Resources, cgroup_version: int, systemd: int) -> list[Property]:
    """The limits that are given, for a systemd of that version.  Raises ConfigError for a cpuset that is no list."""
    found = _limits_v2(resources, systemd) if cgroup_version == 2 else _limits_v1(resources)
    period, quota = resources.cpu_period, resources.cpu_quota
    if period is not None and systemd >= 242:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if quota is not None or period is not None:
        found.append(("CPUQuotaPerSecUSec", ("t", quota_per_second(quota, period))))
    if resources.pids_limit is not None:
        limit = resources.pids_limit
        found.append(("TasksMax", ("t", INFINITY if limit < 0 else max(limit, 1))))  # systemd takes no 0
    if systemd >= 244:
        for name, text in (("AllowedCPUs", resources.cpuset_cpus), ("AllowedMemoryNodes", resources.cpuset_mems)):
            if text:
                found.append((name, ("ay", mask(text))))
    if cgroup_version == 2:
        found += _unified(resources.unified, systemd)
    return found


def _limits_v2(resources: Resources, systemd: int) -> list[Property]:
    from seatrial.runtime.cgroup.v2_cpu import weight
    from seatrial.runtime.cgroup.v2_memory import swap_max

    found: list[Property] = []
    if resources.memory_limit is not None:
        found.append(("MemoryMax", ("t", _amount(resources.memory_limit))))
    if resources.memory_reservation is not None:
        found.append(("MemoryLow", ("t", _amount(resources.memory_reservation))))
    swap = swap_max(resources.memory_limit, resources.memory_swap)
    if swap is not None:
        found.append(("MemorySwapMax", ("t", _amount(swap))))
    if resources.cpu_idle == 1 and systemd >= 252:
        found.append(("CPUWeight", ("t", 0)))
    elif resources.cpu_shares is not None:
        found.append(("CPUWeight", ("t", weight(resources.cpu_shares))))
    return found


def _limits_v1(resources: Resources) -> list[Property]:
    found: list[Property] = []
    if resources.memory_limit is not None:
        found.append(("MemoryLimit", ("t", _amount(resources.memory_limit))))
    if resources.cpu_shares is not None:
        found.append(("CPUShares", ("t", resources.cpu_shares)))
    if resources.blkio_weight is not None:
        found.append(("BlockIOWeight", ("t", resources.blkio_weight)))
    return found


def quota_per_second(quota: int | None, period: int | None) -> int:
    """CPUQuotaPerSecUSec: rounded up to systemd's whole percents, so that what the file says still fits below."""
    if quota is None or quota <= 0:
        return INFINITY
    return -(-quota * 1_000_000 // (period or _PERIOD) // _PERCENT) * _PERCENT


def mask(text: str) -> bytes:
    """``0-3,8`` as a bit mask, the first byte with the lowest numbers.  Raises ConfigError."""
    bits = 0
    for part in text.replace("\n", "").split(","):
        first, dash, last = part.strip().partition("-")
        if not part.strip():
            continue
        if not (first.isascii() and first.isdigit()) or (dash and not (last.isascii() and last.isdigit())):
            raise ConfigError("linux.resources.cpu", f"{text!r} is no list of numbers and ranges")
        low, high = int(first), int(last or first)
        if low > high or high > 65535:
            raise ConfigError("linux.resources.cpu", f"{text!r}: no such range: {part}")
        bits |= ((1 << (high - low + 1)) - 1) << low
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _amount(value: int) -> int:
    return INFINITY if value < 0 else value


def _unified(unified: dict[str, str], systemd: int) -> list[Property]:
    """The members of `unified` that systemd has a property for.  A value that is no number is left to the kernel."""
    sizes = {
        "memory.high": "MemoryHigh", "memory.low": "MemoryLow", "memory.min": "MemoryMin", "memory.max": "MemoryMax",
        "memory.swap.max": "MemorySwapMax", "memory.zswap.max": "MemoryZSwapMax", "pids.max": "TasksMax",
        "cpu.weight": "CPUWeight",
    }  # fmt: skip
    found: list[Property] = []
    for key, text in unified.items():
        value = text.strip()
        if key in sizes:
            if key == "memory.zswap.max" and systemd < 253:
                continue
            number = INFINITY if value == "max" else _integer(value)
            if number is not None:
                found.append((sizes[key], ("t", number)))
        elif key == "cpu.idle" and value == "1" and systemd >= 252:
            found.append(("CPUWeight", ("t", 0)))
        elif key == "cpu.max":
            words = value.split()
            quota = -1 if words[:1] == ["max"] else _integer(words[0]) if words else None
            period = _integer(words[1]) if len(words) > 1 else _PERIOD
            if quota is not None and period:
                if systemd >= 242:
                    found.append(("CPUQuotaPeriodUSec", ("t", period)))
                found.append(("CPUQuotaPerSecUSec", ("t", quota_per_second(quota, period))))
        elif key in ("cpuset.cpus", "cpuset.mems") and value and systemd >= 244:
            found.append(("AllowedCPUs" if key == "cpuset.cpus" else "AllowedMemoryNodes", ("ay", mask(value))))
        elif key == "memory.oom.group" and value in ("0", "1") and systemd >= 253:
            found.append(("OOMPolicy", ("s", "kill" if value == "1" else "continue")))
    return found


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def devices(rules: list[DeviceRule]) -> list[Property]:
    """DevicePolicy and DeviceAllow.

    systemd knows "everything" and "these alone".  For rules of the kind "all but these", and for holes in wildcards, it
    is told to allow everything: the runtime's own program (v2) or devices.deny (v1) is what filters then.
    """
    from seatrial.runtime.cgroup.device_rules import DeviceState, emulate

    try:
        state = emulate(rules) if rules else DeviceState(allow_by_default=True)
    except ConfigError:
        state = DeviceState(allow_by_default=True)
    allowed: list[tuple[str, str]] = []
    if not state.allow_by_default:
        for (type, major, minor), access in state.exceptions.items():
            node = _node(type, major, minor)
            if node:
                allowed.append((node, "".join(letter for letter in "rwm" if letter in access)))
    policy = "auto" if state.allow_by_default else "strict"
    return [("DevicePolicy", ("s", policy)), ("DeviceAllow", ("a(ss)", allowed))]


def _node(type: str, major: int | None, minor: int | None) -> str:
    """How systemd names devices: a path, ``char-*``, or a driver of /proc/devices; "" for what it cannot name."""
    kind = "char" if type == "c" else "block"
    if major is None:
        return f"{kind}-*" if minor is None else ""
    if minor is None:
        driver = _driver(type, major)
        return f"{kind}-{driver}" if driver else ""
    return f"/dev/{kind}/{major}:{minor}"


def _driver(type: str, major: int) -> str:
    """The driver that has a major number; systemd allows a name's every major number, so one is enough."""
    section = ""
    with open("/proc/devices", encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split(maxsplit=1)
            if line.endswith(" devices:\n"):
                section = "c" if line.startswith("Character") else "b"
            elif len(words) == 2 and section == type and words[0] == str(major):
                return words[1].strip()
    return ""


def annotated(annotations: dict[str, str]) -> list[Property]:
    """Properties from annotations ``org.systemd.property.NAME``, whose values are GVariant text.

    NAME has letters alone, three or more.  ``...Sec`` becomes ``...USec``, its number of seconds microseconds.
    Raises ConfigError.
    """
    found: list[Property] = []
    for key, text in annotations.items():
        if not key.startswith(ANNOTATION):
            continue
        from seatrial.runtime.cgroup.gvariant import parse

        name = key.removeprefix(ANNOTATION)
        path = f"annotations[{key!r}]"
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise ConfigError(path, f"{name!r} is no property's name", "at least three letters, and nothing else")
        try:
            signature, value = parse(text)
        except ValueError as error:
            raise ConfigError(path, f"not a GVariant text: {error}", "such as 'text' in quotes, or uint64 5") from None
        if name.endswith("Sec") and len(name) > 3 and name[-4].islower():
            name = name[:-3] + "USec"
            signature, value = "t", _microseconds(path, signature, value)
        found.append((name, (signature, value)))
    return found


def _microseconds(path: str, signature: str, value: Any) -> int:
    if signature not in tuple("ynqiuxtd"):
        raise ConfigError(path, f"seconds are a number, not of type {signature!r}")
    if not 0 <= value <= INFINITY / 1_000_000:  # also false for a NaN
        raise ConfigError(path, f"{value} seconds are out of range")
    return min(int(value * 1_000_000), INFINITY)
