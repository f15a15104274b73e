"""Statistics of a v1 cgroup, and of one on a hybrid host.  Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.values import cpu_list, flat_keyed, number, numbers, page_sizes, pressure, text
from seatrial.runtime.stats import (
    Blkio,
    BlkioEntry,
    Cpu,
    Cpuset,
    CpuUsage,
    Hugetlb,
    Memory,
    MemoryUsage,
    Pids,
    Rdma,
    Stats,
    Throttling,
)

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUSET_FLAGS = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip
# field of Blkio -> file, without its prefix and "_recursive"
_SCHEDULER = {
    "sectors_recursive": "sectors",
    "io_service_bytes_recursive": "io_service_bytes",
    "io_serviced_recursive": "io_serviced",
    "io_queued_recursive": "io_queued",
    "io_service_time_recursive": "io_service_time",
    "io_wait_time_recursive": "io_wait_time",
    "io_merged_recursive": "io_merged",
    "io_time_recursive": "time",
}


def stats(paths: dict[str, str]) -> Stats:
    """What the controllers in `paths` (controller -> directory) count.  Raises SyscallError.

    On a hybrid host the pressure of the v2 cgroup, which has the same processes, is among it.
    """
    result = Stats()
    if "cpuacct" in paths:
        result.cpu.usage = cpu_usage(paths["cpuacct"])
    if "cpu" in paths:
        result.cpu.throttling = throttling(paths["cpu"])
    if "cpuset" in paths:
        result.cpuset = cpuset(paths["cpuset"])
    if "memory" in paths:
        result.memory = memory(paths["memory"])
    if "pids" in paths:
        directory = paths["pids"]
        result.pids = Pids(current=number(directory, "pids.current"), limit=number(directory, "pids.max"))
    if "blkio" in paths:
        result.blkio = blkio(paths["blkio"])
    if "hugetlb" in paths:
        result.hugetlb = hugetlb(paths["hugetlb"])
    if "rdma" in paths:
        result.rdma = rdma(paths["rdma"])
    if "" in paths:
        unified_pressure(result, paths[""])
    return result


def unified_pressure(result: Stats, directory: str) -> None:
    """Fill in the pressure files of a v2 cgroup."""
    record: Cpu | Memory | Blkio
    for record, name in ((result.cpu, "cpu"), (result.memory, "memory"), (result.blkio, "io")):
        record.psi = pressure(directory, f"{name}.pressure")


def cpu_usage(directory: str) -> CpuUsage:
    """cpuacct.rst: usage in ns, stat in clock ticks, usage_all (Linux 4.8) by CPU."""
    ticks = flat_keyed(directory, "cpuacct.stat")
    usage = CpuUsage(
        total=number(directory, "cpuacct.usage"),
        user=ticks.get("user", 0) * 10**9 // _TICKS,
        kernel=ticks.get("system", 0) * 10**9 // _TICKS,
        percpu=numbers(directory, "cpuacct.usage_percpu"),
    )
    for line in (text(directory, "cpuacct.usage_all") or "").splitlines()[1:]:  # the title is "cpu user system"
        _cpu, user, kernel = line.split()
        usage.percpu_user.append(int(user))
        usage.percpu_kernel.append(int(kernel))
    return usage


def throttling(directory: str) -> Throttling:
    """cpu.stat."""
    values = flat_keyed(directory, "cpu.stat")
    return Throttling(
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_time=values.get("throttled_time", 0),
        bursts=values.get("nr_bursts", 0),
        burst_time=values.get("burst_time", 0),
    )


def cpuset(directory: str) -> Cpuset:
    """cpusets.rst."""
    result = Cpuset(
        cpus=cpu_list(text(directory, "cpuset.cpus") or ""), mems=cpu_list(text(directory, "cpuset.mems") or "")
    )
    for name in _CPUSET_FLAGS:
        setattr(result, name, number(directory, f"cpuset.{name}"))
    return result


def memory(directory: str) -> Memory:
    """memory.rst: memory, memory + swap, kernel memory, TCP buffers; the latter where the kernel counts them."""
    raw = flat_keyed(directory, "memory.stat")
    oom = flat_keyed(directory, "memory.oom_control")
    return Memory(
        usage=memory_usage(directory, "memory"),
        swap=memory_usage(directory, "memory.memsw"),
        kernel=memory_usage(directory, "memory.kmem"),
        kernel_tcp=memory_usage(directory, "memory.kmem.tcp"),
        cache=raw.get("cache", 0),
        raw=raw,
        events={"oom_kill": oom["oom_kill"]} if "oom_kill" in oom else {},  # Linux 4.13
    )


def memory_usage(directory: str, prefix: str) -> MemoryUsage:
    """The four files of one counter."""
    return MemoryUsage(
        usage=number(directory, f"{prefix}.usage_in_bytes"),
        max=number(directory, f"{prefix}.max_usage_in_bytes"),
        limit=number(directory, f"{prefix}.limit_in_bytes"),
        failcnt=number(directory, f"{prefix}.failcnt"),
    )


def blkio(directory: str) -> Blkio:
    """blkio-controller.rst: what the scheduler counts (bfq, or cfq before 5.0), else what the throttling layer does."""
    result = Blkio()
    for prefix in ("blkio.bfq.", "blkio."):
        for field, name in _SCHEDULER.items():
            setattr(result, field, entries(directory, f"{prefix}{name}_recursive"))
        if result.io_serviced_recursive:
            return result
    result = Blkio()
    for field, name in (("io_service_bytes_recursive", "io_service_bytes"), ("io_serviced_recursive", "io_serviced")):
        file = f"blkio.throttle.{name}"
        setattr(result, field, entries(directory, f"{file}_recursive") or entries(directory, file))
    return result


def entries(directory: str, name: str) -> list[BlkioEntry]:
    """Lines of ``MAJOR:MINOR OPERATION NUMBER`` or ``MAJOR:MINOR NUMBER``; the sum in the last line is left out."""
    found = []
    for line in (text(directory, name) or "").splitlines():
        words = line.split()
        major, colon, minor = words[0].partition(":")
        if colon and len(words) in (2, 3):
            op = words[1] if len(words) == 3 else ""
            found.append(BlkioEntry(major=int(major), minor=int(minor), op=op, value=int(words[-1])))
    return found


def hugetlb(directory: str) -> dict[str, Hugetlb]:
    """hugetlb.rst: reservations where the kernel counts them (Linux 5.7), else what was faulted in."""
    found = {}
    for size in page_sizes(directory):
        reserved = os.path.exists(f"{directory}/hugetlb.{size}.rsvd.usage_in_bytes")
        prefix = f"hugetlb.{size}.rsvd" if reserved else f"hugetlb.{size}"
        found[size] = Hugetlb(
            usage=number(directory, f"{prefix}.usage_in_bytes"),
            max=number(directory, f"{prefix}.max_usage_in_bytes"),
            failcnt=number(directory, f"{prefix}.failcnt"),
            reserved=reserved,
        )
    return found


def rdma(directory: str) -> dict[str, Rdma]:
    """rdma.rst, the same in v2: ``DEVICE hca_handle=1 hca_object=max``."""
    from seatrial.runtime.cgroup.values import nested_keyed

    found: dict[str, Rdma] = {}
    for name, suffix in (("rdma.current", ""), ("rdma.max", "_limit")):
        for device, values in nested_keyed(directory, name).items():
            entry = found.setdefault(device, Rdma())
            for key, value in values.items():
                if key in ("hca_handle", "hca_object") and value != "max":
                    setattr(entry, key + suffix, int(value))
    return found
