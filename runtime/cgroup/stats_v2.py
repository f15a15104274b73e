"""Statistics of a v2 cgroup, in the form that v1 has them.  Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.stats_v1 import rdma, unified_pressure
from seatrial.runtime.cgroup.values import flat_keyed, nested_keyed, number, page_sizes, text
from seatrial.runtime.stats import (
    NO_LIMIT,
    Blkio,
    BlkioEntry,
    CpuUsage,
    Hugetlb,
    Memory,
    MemoryUsage,
    Misc,
    Pids,
    Stats,
    Throttling,
)

# key of io.stat -> field of Blkio, operation
_IO = {
    "rbytes": ("io_service_bytes_recursive", "Read"),
    "wbytes": ("io_service_bytes_recursive", "Write"),
    "dbytes": ("io_service_bytes_recursive", "Discard"),
    "rios": ("io_serviced_recursive", "Read"),
    "wios": ("io_serviced_recursive", "Write"),
    "dios": ("io_serviced_recursive", "Discard"),
}


def stats(directory: str) -> Stats:
    """What the controllers that are enabled in the cgroup count.  Raises SyscallError."""
    result = Stats()
    result.cpu.usage, result.cpu.throttling = cpu(directory)
    result.memory = memory(directory)
    result.pids = Pids(current=pids_current(directory), limit=number(directory, "pids.max"))
    result.blkio = io(directory)
    result.hugetlb = hugetlb(directory)
    result.rdma = rdma(directory)
    result.misc = misc(directory)
    unified_pressure(result, directory)
    return result


def cpu(directory: str) -> tuple[CpuUsage, Throttling]:
    """cpu.stat, which the kernel keeps without the controller too, but for the throttling; microseconds there."""
    values = flat_keyed(directory, "cpu.stat")
    usage = CpuUsage(
        total=values.get("usage_usec", 0) * 1000,
        user=values.get("user_usec", 0) * 1000,
        kernel=values.get("system_usec", 0) * 1000,
    )
    throttling = Throttling(
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_time=values.get("throttled_usec", 0) * 1000,
        bursts=values.get("nr_bursts", 0),
        burst_time=values.get("burst_usec", 0) * 1000,
    )
    return usage, throttling


def memory(directory: str) -> Memory:
    """Memory and swap, each alone, and together as v1 counts them; of the sum the peak is not known."""
    raw = flat_keyed(directory, "memory.stat")
    events = flat_keyed(directory, "memory.events")
    usage = memory_usage(directory, "memory", events.get("max", 0))
    swap_only = memory_usage(directory, "memory.swap", flat_keyed(directory, "memory.swap.events").get("max", 0))
    unlimited = NO_LIMIT in (usage.limit, swap_only.limit)
    swap = MemoryUsage(
        usage=usage.usage + swap_only.usage,
        limit=NO_LIMIT if unlimited else usage.limit + swap_only.limit,
        failcnt=swap_only.failcnt,
    )
    return Memory(
        usage=usage, swap=swap, swap_only=swap_only, cache=raw.get("file", 0), raw=raw, events=events
    )


def memory_usage(directory: str, prefix: str, failcnt: int) -> MemoryUsage:
    """The files of one counter; peak is Linux 5.19, for swap 6.5."""
    return MemoryUsage(
        usage=number(directory, f"{prefix}.current"),
        max=number(directory, f"{prefix}.peak"),
        limit=number(directory, f"{prefix}.max", unlimited=NO_LIMIT),
        failcnt=failcnt,
    )


def pids_current(directory: str) -> int:
    """pids.current; without the controller, the threads are counted one by one."""
    if text(directory, "pids.current") is not None:
        return number(directory, "pids.current")
    return len((text(directory, "cgroup.threads") or "").split())


def io(directory: str) -> Blkio:
    """io.stat."""
    result = Blkio()
    for device, values in nested_keyed(directory, "io.stat").items():
        major, colon, minor = device.partition(":")
        if not colon:
            continue  # "(unknown)": a device that is gone
        for key, (field, op) in _IO.items():
            if key in values:
                entry = BlkioEntry(major=int(major), minor=int(minor), op=op, value=int(values[key]))
                getattr(result, field).append(entry)
    return result


def hugetlb(directory: str) -> dict[str, Hugetlb]:
    """hugetlb.SIZE.current or, where the kernel counts them (Linux 5.7), reservations."""
    found = {}
    for size in page_sizes(directory):
        reserved = os.path.exists(f"{directory}/hugetlb.{size}.rsvd.current")
        found[size] = Hugetlb(
            usage=number(directory, f"hugetlb.{size}.rsvd.current" if reserved else f"hugetlb.{size}.current"),
            failcnt=flat_keyed(directory, f"hugetlb.{size}.events").get("max", 0),
            reserved=reserved,
        )
    return found


def misc(directory: str) -> dict[str, Misc]:
    """misc.current and misc.events."""
    events = flat_keyed(directory, "misc.events")
    return {
        name: Misc(usage=usage, events=events.get(f"{name}.max", 0))
        for name, usage in flat_keyed(directory, "misc.current").items()
    }
