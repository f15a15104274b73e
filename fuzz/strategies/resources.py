"""linux.resources, as part of a config.json and as the file of `update --resources`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies import text
from seatrial.fuzz.strategies.draft import Document, Draft, Part

_MIB = 2**20


def memory(draw: st.DrawFn, draft: Draft) -> None:
    """limit and reservation: enough for a runtime's own child."""
    block: Document = {"limit": draw(st.just(-1) | st.integers(64 * _MIB, 2**40))}
    if draw(st.booleans()):
        # v1 refuses a limit below what is reserved only where it is hit: any order is accepted
        block["reservation"] = draw(st.integers(16 * _MIB, 64 * _MIB))
    draft.resources["memory"] = block


def cpu(draw: st.DrawFn, draft: Draft) -> None:
    """shares; a quota with its period in microseconds; CPU and node 0."""
    block: Document = {}
    if draw(st.booleans()):
        block["shares"] = draw(st.integers(2, 262144))
    if draw(st.booleans()):
        block["period"] = draw(st.integers(1000, 10**6))
        block["quota"] = draw(st.just(-1) | st.integers(5 * block["period"] // 10, 4 * block["period"]))
        block["quota"] = max(block["quota"], 1000) if block["quota"] > 0 else -1
    if draw(st.booleans()):
        block["cpus"] = block["mems"] = "0"
    draft.resources["cpu"] = block


def pids(draw: st.DrawFn, draft: Draft) -> None:
    """A limit that lets the program start, or none."""
    draft.resources["pids"] = {"limit": draw(st.just(-1) | st.integers(64, 4194304))}


def device_rules(draw: st.DrawFn, draft: Draft) -> None:
    """Everything denied (or allowed), then some devices allowed: what cgroup v1 can hold as well."""
    rules: list[Document] = [{"allow": False, "access": "rwm"}]
    if draw(st.booleans()):
        rules = [{"allow": True, "access": "rwm"}]
    for _ in range(draw(st.integers(0, 3))):
        rule: Document = {"allow": True, "type": draw(st.sampled_from("cb"))}
        rule["major"] = draw(st.integers(0, 511))
        if draw(st.booleans()):
            rule["minor"] = draw(st.integers(0, 255))
        letters = draw(st.lists(st.sampled_from("rwm"), min_size=1, unique=True))
        rules.append({**rule, "access": "".join(letter for letter in "rwm" if letter in letters)})
    draft.resources["devices"] = rules


def swap(draw: st.DrawFn, draft: Draft) -> None:
    """Memory and swap together: not where swap accounting is off."""
    limit = draw(st.integers(64 * _MIB, 2**40))
    draft.resources["memory"] = {"limit": limit, "swap": draw(st.integers(limit, 2**41))}


def memory_v1(draw: st.DrawFn, draft: Draft) -> None:
    """Members that only cgroup v1 has."""
    block = draft.resources.setdefault("memory", {})
    block["swappiness"] = draw(st.integers(0, 100))
    if draw(st.booleans()):
        block["disableOOMKiller"] = draw(st.booleans())


def cpu_idle(draw: st.DrawFn, draft: Draft) -> None:
    """SCHED_IDLE for the whole cgroup (Linux 5.15)."""
    draft.resources.setdefault("cpu", {}).pop("shares", None)  # the kernel refuses both
    draft.resources["cpu"]["idle"] = draw(st.integers(0, 1))


def cpu_burst(draw: st.DrawFn, draft: Draft) -> None:
    """Time saved up, at most the quota (Linux 5.14)."""
    period = draw(st.integers(10000, 10**6))
    quota = draw(st.integers(period, 4 * period))
    draft.resources["cpu"] = {"period": period, "quota": quota, "burst": draw(st.integers(0, quota))}


def block_io(draw: st.DrawFn, draft: Draft) -> None:
    """A weight, and a throttle for each direction of one device."""
    block: Document = {"weight": draw(st.integers(10, 1000))}
    for name in draw(
        st.lists(st.sampled_from(["ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS"]), unique=True, max_size=2)
    ):
        entry = {"major": draw(st.integers(0, 4095)), "minor": draw(st.integers(0, 2**20 - 1))}
        block[f"throttle{name}Device"] = [{**entry, "rate": draw(st.integers(0, 2**63 - 1))}]
    if draw(st.booleans()):
        weight = {"major": 8, "minor": 0, "weight": draw(st.integers(10, 1000))}
        block["weightDevice"] = [weight]
    draft.resources["blockIO"] = block


def hugepages(draw: st.DrawFn, draft: Draft) -> None:
    """Limits for page sizes that the host may have."""
    sizes = draw(st.lists(st.sampled_from(["2MB", "1GB", "64KB"]), min_size=1, unique=True))
    draft.resources["hugepageLimits"] = [{"pageSize": size, "limit": draw(st.integers(0, 2**40))} for size in sizes]


def network(draw: st.DrawFn, draft: Draft) -> None:
    """Class and priorities of cgroup v1."""
    block: Document = {"classID": draw(st.integers(0, 2**32 - 1))}
    if draw(st.booleans()):
        block["priorities"] = [{"name": "lo", "priority": draw(st.integers(0, 2**32 - 1))}]
    draft.resources["network"] = block


def rdma(draw: st.DrawFn, draft: Draft) -> None:
    """Limits of an RDMA device."""
    members = draw(st.lists(st.sampled_from(["hcaHandles", "hcaObjects"]), min_size=1, unique=True))
    draft.resources["rdma"] = {draw(text.names): {name: draw(st.integers(0, 2**32 - 1)) for name in members}}


def unified(draw: st.DrawFn, draft: Draft) -> None:
    """Files of cgroup v2 by name."""
    draft.resources["unified"] = draw(
        st.dictionaries(
            st.sampled_from(["memory.high", "pids.max", "cpu.weight", "memory.oom.group"]),
            st.integers(1, 1000).map(str),
            min_size=1,
            max_size=2,
        )
    )


PARTS: dict[str, Part] = {"memory": memory, "cpu": cpu, "pids": pids, "device rules": device_rules}
HOST_PARTS: dict[str, Part] = {
    "memory.swap": swap,
    "memory of cgroup v1": memory_v1,
    "cpu.idle": cpu_idle,
    "cpu.burst": cpu_burst,
    "blockIO": block_io,
    "hugepageLimits": hugepages,
    "network": network,
    "rdma": rdma,
    "unified": unified,
}


@st.composite
def resources(draw: st.DrawFn, *, devices: bool = True, host: bool = False) -> Any:
    """Resource blocks that a correct runtime accepts; `devices`: rules too; `host`: members that not every host has."""
    possible = {name: part for name, part in PARTS.items() if devices or name != "device rules"}
    if host:
        possible |= HOST_PARTS
    draft = Draft({})
    chosen = draw(st.lists(st.sampled_from(list(possible)), unique=True, max_size=4))
    for name, part in possible.items():
        if name in chosen:
            part(draw, draft)
    return draft.resources
