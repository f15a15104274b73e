"""Good values around the bad ones: what a config must hold for a bad value at a path to be its only fault.

PARTS maps a path to a good value there, or to a function that puts it there; what the default config has needs none.
A runtime may refuse a good value that it or this host does not support (config.md#valid-values); then refusing the bad
one says nothing.
"""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

from seatrial.conformance.cases.config.schema_table import Row
from seatrial.conformance.driver.bundle import HOOK_KINDS, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding

MAPPING = {"containerID": 0, "hostID": 100000, "size": 65536}
THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")
ARCHITECTURES = {"x86_64": ["SCMP_ARCH_X86_64"], "aarch64": ["SCMP_ARCH_AARCH64"], "riscv64": ["SCMP_ARCH_RISCV64"]}
STARS = {
    "hooks.*": [f"hooks.{kind}" for kind in HOOK_KINDS],
    "linux.*Mappings": ["linux.uidMappings", "linux.gidMappings"],
    "mounts[].*Mappings": ["mounts[].uidMappings", "mounts[].gidMappings"],
    "linux.netDevices.*": ["linux.netDevices.seatrial0"],
    "linux.timeOffsets.*": ["linux.timeOffsets.boottime", "linux.timeOffsets.monotonic"],
    "linux.resources.rdma.*": ["linux.resources.rdma.mlx5_1"],
    "linux.resources.blockIO.throttle*": [f"linux.resources.blockIO.{name}" for name in THROTTLES],
}


def places(path: str) -> list[str]:
    """The paths that a path with a `*` stands for."""
    for star, meant in STARS.items():
        if path.startswith(star):
            return [place + path[len(star) :] for place in meant]
    return [path]


def trials(row: Row) -> Iterator[tuple[str, Any]]:
    """Pairs of path and bad value: each place and each value of the row at least once."""
    where, bad = places(row.path), row.kind.bad
    for number in range(max(len(where), len(bad))):
        yield where[number % len(where)], bad[number % len(bad)]


def put(config: dict[str, Any], path: str, value: Any) -> None:
    """Set a member.  Missing objects on the way are made; `x[]` is the last entry of the array x, which must exist."""
    *parents, last = path.split(".")
    at: Any = config
    for name in parents:
        at = at[name[:-2]][-1] if name.endswith("[]") else at.setdefault(name, {})
    at[last] = value


# -- good values -----------------------------------------------------------------------------------------------------


def _mount(bundle: Bundle) -> None:
    bundle.mount("/mnt", "tmpfs", "tmpfs", "nosuid", "size=64k")


def _idmapped_mount(bundle: Bundle) -> None:
    source = bundle.outside("source")
    os.makedirs(source, exist_ok=True)
    bundle.mount("/mnt", "bind", source, "bind")
    bundle.config["mounts"][-1].update(uidMappings=[dict(MAPPING)], gidMappings=[dict(MAPPING)])


def _hooks(bundle: Bundle) -> None:
    for kind in HOOK_KINDS:
        bundle.hook(kind, "exit", "0", env=["A=b"], timeout=5)


def _user_namespace(bundle: Bundle) -> None:
    bundle.user_namespace()


def _time_namespace(bundle: Bundle) -> None:
    bundle.namespace("time")
    offset = {"secs": 7, "nanosecs": 1000}
    bundle.linux["timeOffsets"] = {"boottime": offset, "monotonic": dict(offset)}


def _default_errno(bundle: Bundle) -> None:
    allowed = {"names": ["execve", "exit", "exit_group"], "action": "SCMP_ACT_ALLOW"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [allowed]}


def _block_device() -> dict[str, int]:
    """Numbers of a block device of this host; those of the first loop device where it has none."""
    for name in sorted(os.listdir("/sys/block")) if os.path.isdir("/sys/block") else []:
        with open(f"/sys/block/{name}/dev", encoding="ascii") as file:
            major, minor = file.read().split(":")
        return {"major": int(major), "minor": int(minor)}
    return {"major": 7, "minor": 0}


SECCOMP_RULE = {
    "names": ["getcwd"],
    "action": "SCMP_ACT_ERRNO",
    "args": [{"index": 1, "value": 77, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
}
PARTS: dict[str, Any] = {
    "annotations": {"org.example.key": "value"},
    "domainname": "example.org",
    "hooks": _hooks,
    "mounts[]": _mount,
    **{f"mounts[].{name}Mappings": _idmapped_mount for name in ("uid", "gid", "*")},
    "process.consoleSize": {"height": 24, "width": 80},
    "process.user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
    "process.apparmorProfile": "",
    "process.selinuxLabel": "",
    "process.oomScoreAdj": 500,
    "process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "process.scheduler": {"policy": "SCHED_OTHER", "nice": 0},
    "process.scheduler.priority": 0,
    "process.scheduler.flags": ["SCHED_FLAG_RESET_ON_FORK"],
    "process.scheduler.runtime": 0,
    "process.scheduler.deadline": 0,
    "process.scheduler.period": 0,
    "process.execCPUAffinity": {"initial": "0", "final": "0"},
    "linux.devices": [
        {"path": "/dev/seatrial", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}
    ],
    "linux.netDevices": {},
    "linux.netDevices.*": {"name": "seatrial1"},
    "linux.uidMappings": _user_namespace,
    "linux.gidMappings": _user_namespace,
    "linux.*Mappings": _user_namespace,
    "linux.seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ARCHITECTURES.get(platform.machine(), []),
        "syscalls": [SECCOMP_RULE],
    },
    "linux.seccomp.flags": [],
    "linux.seccomp.defaultErrnoRet": _default_errno,
    "linux.seccomp.syscalls[].errnoRet": 1,
    "linux.seccomp.listenerPath": "",
    "linux.seccomp.listenerMetadata": "",
    "linux.rootfsPropagation": "private",
    "linux.sysctl": {"net.ipv4.ip_forward": "1"},
    "linux.mountLabel": "",
    "linux.intelRdt": {"closID": "seatrial"},
    "linux.intelRdt.memBwSchema": "MB:0=100",
    "linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
    "linux.memoryPolicy.flags": ["MPOL_F_STATIC_NODES"],
    "linux.personality": {"domain": "LINUX"},
    "linux.personality.flags": [],
    "linux.timeOffsets": _time_namespace,
    "linux.resources.unified": {},
    "linux.resources.devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
    "linux.resources.pids": {"limit": 64},
    "linux.resources.blockIO": {},
    "linux.resources.blockIO.weight": 0,
    "linux.resources.blockIO.leafWeight": 0,
    "linux.resources.blockIO.weightDevice": [],
    "linux.resources.blockIO.weightDevice[]": {**_block_device(), "weight": 0, "leafWeight": 0},
    **{f"linux.resources.blockIO.{name}": [] for name in THROTTLES},
    "linux.resources.blockIO.throttle*[]": {**_block_device(), "rate": 1 << 30},
    "linux.resources.cpu": {"shares": 512, "period": 100000, "quota": 50000},
    "linux.resources.cpu.cpus": str(min(os.sched_getaffinity(0))),
    "linux.resources.cpu.mems": "0",
    "linux.resources.cpu.burst": 0,
    "linux.resources.cpu.idle": 0,
    "linux.resources.cpu.realtimePeriod": 0,
    "linux.resources.cpu.realtimeRuntime": 0,
    "linux.resources.hugepageLimits": [],
    "linux.resources.hugepageLimits[]": {"pageSize": "2MB", "limit": 0},
    "linux.resources.memory": {"limit": 1 << 28, "reservation": 1 << 27},
    "linux.resources.memory.swap": -1,
    "linux.resources.memory.swappiness": 60,
    "linux.resources.memory.kernel": -1,
    "linux.resources.memory.kernelTCP": -1,
    "linux.resources.memory.disableOOMKiller": False,
    "linux.resources.memory.useHierarchy": False,
    "linux.resources.memory.checkBeforeUpdate": False,
    "linux.resources.network": {},
    "linux.resources.network.classID": 0,
    "linux.resources.network.priorities": [],
    "linux.resources.network.priorities[]": {"name": "lo", "priority": 0},
    "linux.resources.rdma": {},
    "linux.resources.rdma.*": {"hcaHandles": 3, "hcaObjects": 1000},
}
COMMON = frozenset(
    """annotations hooks mounts[] process.consoleSize process.user process.apparmorProfile process.selinuxLabel
    process.oomScoreAdj linux.devices linux.seccomp linux.rootfsPropagation linux.sysctl linux.mountLabel
    linux.personality linux.resources.devices linux.resources.pids linux.resources.cpu linux.resources.memory""".split()
)  # what every runtime takes on any host: tried together, in one container


def chain(path: str) -> tuple[str, ...]:
    """The parts around a path, outermost first."""
    around = (key for key in PARTS if path == key or path.startswith((key + ".", key + "[]")))
    return tuple(sorted(around, key=len))


def install(bundle: Bundle, parts: tuple[str, ...]) -> None:
    """Put the good values of these parts into the bundle's config."""
    for key in parts:
        value = PARTS[key]
        if callable(value):
            value(bundle)
            continue
        for place in places(key.removesuffix("[]")):
            good = copy.deepcopy(value)
            put(bundle.config, place, [good] if key.endswith("[]") else good)


class Controls:
    """Which good values a runtime takes.  Each answer costs one container and is remembered."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, tuple[str, ...], str], str | None] = {}

    def refusal(self, runtime: Runtime, make_bundle: Callable[[], Bundle], row: Row) -> str | None:
        """Why the runtime refuses a config that is good around and at the row's path, or None when it takes it."""
        parts = chain(row.path)
        common = row.since == "1.0.2" and COMMON.issuperset(parts)
        if common and self._ask(runtime, make_bundle, tuple(sorted(COMMON)), row.since) is None:
            return None
        return self._ask(runtime, make_bundle, parts, row.since)

    def _ask(
        self, runtime: Runtime, make_bundle: Callable[[], Bundle], parts: tuple[str, ...], version: str
    ) -> str | None:
        key = (runtime.path, parts, version)
        if key not in self._answers:
            bundle = make_bundle()
            install(bundle, parts)
            bundle.config["ociVersion"] = version
            container = runtime.create(bundle, check=False)
            result = container.created
            if result.crashed:
                raise Finding(f"a crash is no refusal: {result.describe()}")
            said = result.stderr.strip().splitlines() or ["no reason"]  # some fail without a word
            self._answers[key] = None if result.ok else said[-1][:300]
            container.discard()
        return self._answers[key]
