"""Statistics as the JSON of runc's `events`: its names, its order, and what it leaves out when it is zero."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.network.statistics import InterfaceStatistics
    from seatrial.runtime.resctrl_stats import IntelRdtStats
    from seatrial.runtime.stats import Blkio, Cpuset, Hugetlb, Memory, MemoryUsage, Pressure, Stats

# field -> member, which is left out when the list is empty
_BLKIO = {
    "io_service_bytes_recursive": "ioServiceBytesRecursive",
    "io_serviced_recursive": "ioServicedRecursive",
    "io_queued_recursive": "ioQueueRecursive",
    "io_service_time_recursive": "ioServiceTimeRecursive",
    "io_wait_time_recursive": "ioWaitTimeRecursive",
    "io_merged_recursive": "ioMergedRecursive",
    "io_time_recursive": "ioTimeRecursive",
    "sectors_recursive": "sectorsRecursive",
}
_CPUSET_FLAGS = ("mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
                 "memory_pressure", "sched_load_balance", "sched_relax_domain_level")  # fmt: skip


def document(stats: Stats) -> dict[str, Any]:
    """The member `data` of an event."""
    usage = stats.cpu.usage
    throttling = stats.cpu.throttling
    cpu: dict[str, Any] = {
        "usage": present(
            total=usage.total, percpu=usage.percpu, percpu_kernel=usage.percpu_kernel, percpu_user=usage.percpu_user
        )
        | {"kernel": usage.kernel, "user": usage.user},
        "throttling": present(
            periods=throttling.periods,
            throttledPeriods=throttling.throttled_periods,
            throttledTime=throttling.throttled_time,
        ),
    }
    return {
        "cpu": with_pressure(cpu, stats.cpu.psi),
        "cpuset": cpuset(stats.cpuset),
        "memory": memory(stats.memory),
        "pids": present(current=stats.pids.current, limit=stats.pids.limit),
        "blkio": blkio(stats.blkio),
        "hugetlb": {size: hugetlb(entry) for size, entry in sorted(stats.hugetlb.items())},
        "intel_rdt": intel_rdt(stats.intel_rdt),
        "network_interfaces": [interface(entry) for entry in stats.network_interfaces] or None,
    }


def present(**members: Any) -> dict[str, Any]:
    """Those members that are neither zero nor empty."""
    return {name: value for name, value in members.items() if value}


def with_pressure(members: dict[str, Any], psi: Pressure | None) -> dict[str, Any]:
    """`members` with psi at the end, where the kernel has it."""
    if psi is not None:
        members["psi"] = {
            name: {
                "avg10": number(line.avg10),
                "avg60": number(line.avg60),
                "avg300": number(line.avg300),
                "total": line.total,
            }
            for name, line in (("some", psi.some), ("full", psi.full))
        }
    return members


def number(value: float) -> float:
    """As Go writes a float: 0, not 0.0."""
    return int(value) if value == int(value) else value


def cpuset(record: Cpuset) -> dict[str, Any]:
    """The member cpuset."""
    members = present(cpus=record.cpus) | {"cpu_exclusive": record.cpu_exclusive} | present(mems=record.mems)
    return members | {name: getattr(record, name) for name in _CPUSET_FLAGS}


def memory(record: Memory) -> dict[str, Any]:
    """The member memory."""
    members = present(cache=record.cache)
    for name in ("usage", "swap", "kernel", "kernel_tcp"):
        members["kernelTCP" if name == "kernel_tcp" else name] = memory_usage(getattr(record, name))
    members |= present(raw=dict(sorted(record.raw.items())))
    return with_pressure(members, record.psi)


def memory_usage(record: MemoryUsage) -> dict[str, Any]:
    """One counter of memory."""
    return {"limit": record.limit} | present(usage=record.usage, max=record.max) | {"failcnt": record.failcnt}


def blkio(record: Blkio) -> dict[str, Any]:
    """The member blkio."""
    members: dict[str, Any] = {}
    for field, name in _BLKIO.items():
        entries = getattr(record, field)
        if entries:
            members[name] = [
                present(major=entry.major, minor=entry.minor, op=entry.op, value=entry.value) for entry in entries
            ]
    return with_pressure(members, record.psi)


def hugetlb(record: Hugetlb) -> dict[str, Any]:
    """One size of huge pages."""
    return present(usage=record.usage, max=record.max) | {"failcnt": record.failcnt}


def intel_rdt(record: IntelRdtStats | None) -> dict[str, Any]:
    """The member intel_rdt."""
    if record is None:
        return {}
    cache, bandwidth = record.l3_cache_info, record.mem_bw_info
    return present(
        l3_cache_info=present(**cache.to_json()) if cache is not None else None,
        l3_cache_schema_root=record.l3_cache_schema_root,
        l3_cache_schema=record.l3_cache_schema,
        mem_bw_info=present(**bandwidth.to_json()) if bandwidth is not None else None,
        mem_bw_schema_root=record.mem_bw_schema_root,
        mem_bw_schema=record.mem_bw_schema,
        mbm_stats=[
            present(mbm_total_bytes=total, mbm_local_bytes=local)
            for total, local in zip(record.mbm_total_bytes, record.mbm_local_bytes, strict=False)
        ],
        cmt_stats=[present(llc_occupancy=bytes) for bytes in record.llc_occupancy],
    )


def interface(record: InterfaceStatistics) -> dict[str, Any]:
    """One network interface: runc's structure has no names for JSON, so Go's stand."""
    members: dict[str, Any] = {"Name": record.name}
    for way in ("Rx", "Tx"):
        for what in ("Bytes", "Packets", "Errors", "Dropped"):
            members[way + what] = getattr(record, f"{way}_{what}".lower())
    return members
