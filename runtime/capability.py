"""Capabilities: names, numbers and masks (capabilities(7))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Capabilities

# In number order: include/uapi/linux/capability.h.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",  # Linux 5.8
    "CAP_BPF",  # Linux 5.8
    "CAP_CHECKPOINT_RESTORE",  # Linux 5.9
)
BITS = {name: 1 << number for number, name in enumerate(NAMES)}
ALL = (1 << len(NAMES)) - 1


def mask(names: list[str], unknown: list[str]) -> int:
    """The mask of these names; names that are none are appended to `unknown`, once each."""
    bits = 0
    for name in names:
        bit = BITS.get(name)
        if bit is not None:
            bits |= bit
        elif name not in unknown:
            unknown.append(name)
    return bits


def names(bits: int) -> list[str]:
    """The names in a mask, in number order; a bit without a name as ``CAP_63``."""
    return [NAMES[number] if number < len(NAMES) else f"CAP_{number}" for number in range(64) if bits >> number & 1]


def restrict(sets: Capabilities, available: int, warnings: list[str]) -> None:
    """Take out of the five sets what the kernel would not grant, each with a warning (config.md#linux-process).

    That is: anything outside `available`, and an effective capability that is not permitted (capset(2): EPERM).
    """
    missing = 0
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        bits = getattr(sets, name)
        missing |= bits & ~available
        setattr(sets, name, bits & available)
    if missing:
        warnings.append(f"process.capabilities: cannot be granted here: {', '.join(names(missing))}")
    surplus = sets.effective & ~sets.permitted
    if surplus:
        sets.effective &= sets.permitted
        warnings.append(f"process.capabilities.effective: not in permitted, not granted: {', '.join(names(surplus))}")


def last(path: str = "/proc/sys/kernel/cap_last_cap") -> int:
    """The highest capability number of this kernel.  Raises OSError where /proc is not mounted."""
    with open(path, encoding="ascii") as file:
        return int(file.read())


def bounding(path: str = "/proc/self/status") -> int:
    """The bounding set of a process, from its status file.  Raises OSError; ValueError if the file has no CapBnd."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("CapBnd:"):
                return int(line[7:], 16)
    raise ValueError(f"{path}: no CapBnd line")
