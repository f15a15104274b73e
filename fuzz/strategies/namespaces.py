"""Namespaces, and what needs one: id mappings, clock offsets, host names, sysctls, network devices."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies import text
from seatrial.fuzz.strategies.draft import Draft, Part

IDS = 2**32 - 1  # the kernel's ids are 0 to 2**32 - 2
# Key -> (type of its namespace, values that every kernel since 4.18 takes).
SYSCTLS: dict[str, tuple[str, st.SearchStrategy[str]]] = {
    "net.ipv4.ip_forward": ("network", st.sampled_from(["0", "1"])),
    "net.ipv4.tcp_syncookies": ("network", st.sampled_from(["0", "1", "2"])),
    "net.ipv4.ip_unprivileged_port_start": ("network", st.integers(0, 65535).map(str)),
    "net.ipv4.ping_group_range": ("network", st.integers(0, 2**16).map(lambda last: f"0 {last}")),
    "net.core.somaxconn": ("network", st.integers(1, 65535).map(str)),
    "net.ipv4.conf.lo.rp_filter": ("network", st.sampled_from(["0", "1", "2"])),
    "kernel.shm_rmid_forced": ("ipc", st.sampled_from(["0", "1"])),
    "kernel.msgmax": ("ipc", st.integers(0, 2**20).map(str)),
    "kernel.msgmnb": ("ipc", st.integers(0, 2**20).map(str)),
    "kernel.shmmni": ("ipc", st.integers(1, 32768).map(str)),
    "kernel.sem": ("ipc", st.integers(1, 1000).map(lambda n: f"{n} 32000 32 128")),
    "fs.mqueue.msg_max": ("ipc", st.integers(1, 1000).map(str)),
}


def _mappings(draw: st.DrawFn) -> list[dict[str, int]]:
    """Lines that give an id to itself, from 0 on: what is in the rootfs belongs to the same ids as outside."""
    first = draw(st.integers(65536, IDS))
    lines = [{"containerID": 0, "hostID": 0, "size": first}]
    if first < IDS and draw(st.booleans()):
        start = draw(st.integers(first, IDS - 1))
        lines.append({"containerID": start, "hostID": start, "size": draw(st.integers(1, IDS - start))})
    return lines


def user_namespace(draw: st.DrawFn, draft: Draft) -> None:
    """A user namespace, and those that mounts of sysfs, proc, mqueue and cgroup then need new as well."""
    for kind in ("user", "pid", "network", "ipc", "uts", "cgroup"):
        draft.add_namespace(kind)
    draft.linux["uidMappings"] = _mappings(draw)
    draft.linux["gidMappings"] = (
        _mappings(draw) if draw(st.booleans()) else [dict(e) for e in draft.linux["uidMappings"]]
    )


def cgroup_namespace(draw: st.DrawFn, draft: Draft) -> None:
    """A cgroup namespace."""
    draft.add_namespace("cgroup")


def time_namespace(draw: st.DrawFn, draft: Draft) -> None:
    """A time namespace (Linux 5.6), with clocks that are ahead."""
    draft.add_namespace("time")
    offsets: dict[str, Any] = {}
    for clock in draw(st.lists(st.sampled_from(["monotonic", "boottime"]), unique=True)):
        offsets[clock] = {"secs": draw(st.integers(0, 10**8)), "nanosecs": draw(st.integers(0, 10**9 - 1))}
    given = bool(offsets) or draw(st.booleans())
    if given:
        draft.linux["timeOffsets"] = offsets


def shared(draw: st.DrawFn, draft: Draft) -> None:
    """Namespaces that the container shares with the runtime; not together with a user namespace of its own."""
    if "user" in draft.namespaces:
        return
    for kind in draw(st.lists(st.sampled_from(["ipc", "uts", "network", "pid"]), unique=True, min_size=1)):
        draft.drop_namespace(kind)
        if kind == "uts":
            draft.config.pop("hostname", None)
            draft.config.pop("domainname", None)


def names(draw: st.DrawFn, draft: Draft) -> None:
    """hostname and domainname; sethostname(2) takes any bytes, engines send names."""
    if "uts" not in draft.namespaces:
        return
    draft.config["hostname"] = draw(st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=64))
    if draw(st.booleans()):
        draft.config["domainname"] = draw(st.text("abcdefghijklmnopqrstuvwxyz.", min_size=1, max_size=64))


def sysctl(draw: st.DrawFn, draft: Draft) -> None:
    """Kernel parameters of namespaces that the container has new; with dots or with slashes between the words."""
    possible = [key for key, (kind, _) in SYSCTLS.items() if kind in draft.namespaces]
    if not possible:
        return
    block = {}
    for key in draw(st.lists(st.sampled_from(possible), min_size=1, max_size=4, unique=True)):
        value = draw(SYSCTLS[key][1])
        block[key.replace(".", "/") if draw(st.booleans()) else key] = value
    draft.linux["sysctl"] = block


def network_devices(draw: st.DrawFn, draft: Draft) -> None:
    """Devices of the host that move into the container."""
    draft.add_namespace("network")
    devices = draw(st.lists(text.names, min_size=1, max_size=2, unique=True))
    draft.linux["netDevices"] = {
        name: {"name": f"eth{n}"} if draw(st.booleans()) else {} for n, name in enumerate(devices)
    }


PARTS: dict[str, Part] = {
    "user namespace": user_namespace,
    "cgroup namespace": cgroup_namespace,
    "time namespace": time_namespace,
    "shared namespaces": shared,
    "host name": names,
    "sysctl": sysctl,
}
HOST_PARTS: dict[str, Part] = {"netDevices": network_devices}
