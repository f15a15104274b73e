"""Lists of CPUs as cpuset(7) writes them: ``0-3,7``."""

from __future__ import annotations

_MOST = 8192  # CONFIG_NR_CPUS of the largest kernels


def parse_cpus(text: str) -> list[int]:
    """The CPUs of a list in ascending order, blanks around items ignored; ValueError with what is wrong."""
    found: set[int] = set()
    for item in text.split(","):
        first, dash, last = (part.strip() for part in item.strip().partition("-"))
        if not dash:
            last = first
        if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in (first, last)):
            raise ValueError(f"{item.strip()!r} is neither a CPU number nor a range such as 0-3")
        if int(first) > int(last):
            raise ValueError(f"the range {item.strip()} is empty")
        if int(last) >= _MOST:
            raise ValueError(f"CPU {last} is above {_MOST - 1}")
        found.update(range(int(first), int(last) + 1))
    return sorted(found)


def cpu_mask(cpus: list[int]) -> bytes:
    """The mask that sched_setaffinity(2) takes, little endian, in whole 64 bit words."""
    bits = 0
    for cpu in cpus:
        bits |= 1 << cpu
    return bits.to_bytes((bits.bit_length() + 63) // 64 * 8 or 8, "little")
