"""Lists of CPUs as cpuset(7) writes them: ``0-3,7``."""

from __future__ import annotations

from seatrial.runtime import number_list

_MOST = 8192  # CONFIG_NR_CPUS of the largest kernels


def parse_cpus(text: str) -> list[int]:
    """The CPUs of a list in ascending order, blanks around items ignored; ValueError with what is wrong."""
    cpus = number_list.parse(text, _MOST - 1)
    if not cpus:
        raise ValueError("the list is empty")
    return cpus


def cpu_mask(cpus: list[int]) -> bytes:
    """The mask that sched_setaffinity(2) takes, little endian, in whole 64 bit words."""
    bits = 0
    for cpu in cpus:
        bits |= 1 << cpu
    return bits.to_bytes((bits.bit_length() + 63) // 64 * 8 or 8, "little")
