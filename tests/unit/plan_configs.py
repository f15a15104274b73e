"""Configs for the tests of the plan compiler: small, and without the loader."""

from __future__ import annotations

from typing import Any

from seatrial.runtime.config import Capabilities, Config, Mount, Namespace, Process, Rlimit
from seatrial.runtime.default_devices import with_defaults
from seatrial.runtime.plan.compile import compile_init
from seatrial.runtime.plan.environment import Environment
from seatrial.runtime.plan.plan import Plan

KILL = 1 << 5


def mount(destination: str, fstype: str = "", source: str = "", flags: int = 0, data: str = "", **more: Any) -> Mount:
    return Mount(destination=destination, fstype=fstype, source=source, flags=flags, data=data, **more)


def config(*namespaces: str, **fields: Any) -> Config:
    """A config with these new namespaces (default: ipc, uts, net, pid, mnt) and a process; `fields` replace any."""
    values: dict[str, Any] = {
        "oci_version": "1.2.0",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "process": Process(args=["sh", "-c", "exit 3"], cwd="/home", env=["PATH=/bin", "TERM=xterm"], umask=0o22),
        "namespaces": [Namespace(type=type) for type in namespaces or ("ipc", "uts", "net", "pid", "mnt")],
        "devices": with_defaults([]),
    }
    return Config(**values | fields)


def full_config() -> Config:
    """Close to what `seatrial-runtime spec` writes."""
    return config(
        "ipc", "uts", "net", "pid", "mnt", "cgroup",
        mounts=[
            mount("/proc", "proc", "proc"),
            mount("/dev", "tmpfs", "tmpfs", 0x2 | 0x1000000, "mode=755,size=65536k"),
            mount("/sys", "sysfs", "sysfs", 0xF),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", 0xF),
        ],
        hostname="box",
        readonlyfs=True,
        capabilities=Capabilities(bounding=KILL, effective=KILL, permitted=KILL, ambient=0),
        rlimits=[Rlimit(type=7, soft=1024, hard=4096)],
        no_new_privileges=True,
        oom_score_adj=100,
        sysctl={"net.ipv4.ip_forward": "1"},
        mask_paths=["/proc/kcore", "/proc/kcore"],
        readonly_paths=["/proc/sys"],
    )  # fmt: skip


def compiled(config: Config, **environment: Any) -> Plan:
    return compile_init(config, Environment(**{"id": "c1"} | environment))


def names(plan: Plan) -> list[str]:
    return [operation.name for operation in plan.operations]


def lines(plan: Plan, *wanted: str) -> list[str]:
    """The descriptions of the operations of these names, all without names, in order."""
    return [operation.describe() for operation in plan.operations if not wanted or operation.name in wanted]
