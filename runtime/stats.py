"""What a container has used: the records that `Container.stats` returns.

Times are in nanoseconds, sizes in bytes.  A field without a controller (or a kernel file) behind it keeps its default;
`NO_LIMIT` is what an unlimited v2 file is counted as, v1 gives the largest page multiple of 63 bits.
"""

from __future__ import annotations

from seatrial.runtime.network.statistics import InterfaceStatistics
from seatrial.runtime.record import Record
from seatrial.runtime.resctrl_stats import IntelRdtStats

NO_LIMIT = (1 << 64) - 1


class PressureLine(Record):
    """Share of the time in which tasks waited, in percent over 10, 60 and 300 s, and the sum in microseconds."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total: int = 0


class Pressure(Record):
    """Pressure stall information (Linux 4.20, psi.rst): some tasks waited, or all of them at once."""

    some: PressureLine = PressureLine()
    full: PressureLine = PressureLine()


class CpuUsage(Record):
    """Processor time in ns; the lists are by CPU, and v1 only."""

    total: int = 0
    kernel: int = 0
    user: int = 0
    percpu: list[int] = []
    percpu_kernel: list[int] = []
    percpu_user: list[int] = []


class Throttling(Record):
    """What the quota did: periods, those in which it was used up, time lost in ns; bursts (Linux 5.14)."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    bursts: int = 0
    burst_time: int = 0


class Cpu(Record):
    """The controllers cpu and cpuacct."""

    usage: CpuUsage = CpuUsage()
    throttling: Throttling = Throttling()
    psi: Pressure | None = None


class Cpuset(Record):
    """The controller cpuset, v1 only: numbers of the CPUs and memory nodes, and its flags."""

    cpus: list[int] = []
    mems: list[int] = []
    cpu_exclusive: int = 0
    mem_hardwall: int = 0
    mem_exclusive: int = 0
    memory_migrate: int = 0
    memory_spread_page: int = 0
    memory_spread_slab: int = 0
    memory_pressure: int = 0
    sched_load_balance: int = 0
    sched_relax_domain_level: int = 0


class MemoryUsage(Record):
    """One counter of memory: now, at most so far (0: not known), the limit, and how often it was hit."""

    usage: int = 0
    max: int = 0
    limit: int = 0
    failcnt: int = 0


class Memory(Record):
    """The controller memory.  `swap` is memory and swap together, as on v1; `swap_only` is swap alone, on v2.

    `raw` is memory.stat, `cache` its page cache, `events` is memory.events of v2 (oom_kill ...), on v1 what
    memory.oom_control tells of that.
    """

    usage: MemoryUsage = MemoryUsage()
    swap: MemoryUsage = MemoryUsage()
    swap_only: MemoryUsage = MemoryUsage()
    kernel: MemoryUsage = MemoryUsage()
    kernel_tcp: MemoryUsage = MemoryUsage()
    cache: int = 0
    raw: dict[str, int] = {}
    events: dict[str, int] = {}
    psi: Pressure | None = None


class Pids(Record):
    """The controller pids; limit 0: none."""

    current: int = 0
    limit: int = 0


class BlkioEntry(Record):
    """One number about a block device; op is Read, Write, Sync, Async, Discard, Total, or ""."""

    major: int
    minor: int
    op: str = ""
    value: int = 0


class Blkio(Record):
    """The controller blkio, or io of v2 in the same form; what the scheduler of the host does not count is empty."""

    io_service_bytes_recursive: list[BlkioEntry] = []
    io_serviced_recursive: list[BlkioEntry] = []
    io_queued_recursive: list[BlkioEntry] = []
    io_service_time_recursive: list[BlkioEntry] = []
    io_wait_time_recursive: list[BlkioEntry] = []
    io_merged_recursive: list[BlkioEntry] = []
    io_time_recursive: list[BlkioEntry] = []
    sectors_recursive: list[BlkioEntry] = []
    psi: Pressure | None = None


class Hugetlb(Record):
    """One size of huge pages.  `reserved` says that reservations are counted (hugetlb.SIZE.rsvd, Linux 5.7)."""

    usage: int = 0
    max: int = 0
    failcnt: int = 0
    reserved: bool = False


class Rdma(Record):
    """One RDMA device: handles and objects in use, and their limits (NO_LIMIT: none)."""

    hca_handle: int = 0
    hca_object: int = 0
    hca_handle_limit: int = NO_LIMIT
    hca_object_limit: int = NO_LIMIT


class Misc(Record):
    """One resource of the controller misc (Linux 5.13): in use, and how often its limit was hit."""

    usage: int = 0
    events: int = 0


class Stats(Record):
    """Everything.  `hugetlb` by page size ("2MB"), `rdma` by device, `misc` by resource."""

    cpu: Cpu = Cpu()
    cpuset: Cpuset = Cpuset()
    memory: Memory = Memory()
    pids: Pids = Pids()
    blkio: Blkio = Blkio()
    hugetlb: dict[str, Hugetlb] = {}
    rdma: dict[str, Rdma] = {}
    misc: dict[str, Misc] = {}
    intel_rdt: IntelRdtStats | None = None  # of a container with linux.intelRdt
    network_interfaces: list[InterfaceStatistics] = []
