"""What resctrl says of a container: its part of cache and memory bandwidth, and what it uses (runc's figures)."""

from __future__ import annotations

import os

from seatrial.runtime.errors import SyscallError
from seatrial.runtime.record import Record
from seatrial.runtime.resctrl import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.state import State


class CacheInfo(Record):
    """info/L3: the hexadecimal mask of the whole cache, the fewest bits of a mask, how many classes there can be."""

    cbm_mask: str = ""
    min_cbm_bits: int = 0
    num_closids: int = 0


class BandwidthInfo(Record):
    """info/MB: steps and least value in percent, whether delays are linear, how many classes there can be."""

    bandwidth_gran: int = 0
    delay_linear: int = 0
    min_bandwidth: int = 0
    num_closids: int = 0


class IntelRdtStats(Record):
    """Lines of the root's schemata and of the container's; the lists are by L3 cache, in bytes."""

    l3_cache_info: CacheInfo | None = None
    l3_cache_schema_root: str = ""
    l3_cache_schema: str = ""
    mem_bw_info: BandwidthInfo | None = None
    mem_bw_schema_root: str = ""
    mem_bw_schema: str = ""
    llc_occupancy: list[int] = []
    mbm_total_bytes: list[int] = []
    mbm_local_bytes: list[int] = []


def rdt_stats(state: State, root: str) -> IntelRdtStats:
    """The figures of a container with linux.intelRdt; `root` is where resctrl is mounted.

    What the hardware does not have stays at its default: nothing is raised for it.
    """
    stats = IntelRdtStats()
    everybody = _lines(os.path.join(root, "schemata"))
    own = _lines(os.path.join(state.intel_rdt_path, "schemata"))
    if "L3" in everybody:
        info = os.path.join(root, "info", "L3")
        numbers = {name: _number(info, name) for name in ("min_cbm_bits", "num_closids")}
        stats.l3_cache_info = CacheInfo(cbm_mask=_text(info, "cbm_mask"), **numbers)
        stats.l3_cache_schema_root, stats.l3_cache_schema = everybody["L3"], own.get("L3", "")
    if "MB" in everybody:
        info = os.path.join(root, "info", "MB")
        stats.mem_bw_info = BandwidthInfo(**{name: _number(info, name) for name in BandwidthInfo._fields})
        stats.mem_bw_schema_root, stats.mem_bw_schema = everybody["MB"], own.get("MB", "")
    data = os.path.join(state.intel_rdt_mon_path or state.intel_rdt_path, "mon_data")
    for domain in sorted(os.listdir(data)) if os.path.isdir(data) else ():
        for name, values in (
            ("llc_occupancy", stats.llc_occupancy),
            ("mbm_total_bytes", stats.mbm_total_bytes),
            ("mbm_local_bytes", stats.mbm_local_bytes),
        ):
            if os.path.exists(os.path.join(data, domain, name)):
                values.append(_number(data, domain, name))
    return stats


def _lines(path: str) -> dict[str, str]:
    """Resource -> line of a schemata file."""
    lines = [line.strip() for line in _text(path).splitlines()]
    return {line.partition(":")[0]: line for line in lines}


def _text(*names: str) -> str:
    try:
        return read_text(os.path.join(*names)).strip()
    except SyscallError:
        return ""


def _number(*names: str) -> int:
    text = _text(*names)
    return int(text) if text.isdigit() else 0  # a monitor may say "Unavailable"
