"""Types, ranges, constants and required members: each refusal names its JSON path."""

from __future__ import annotations

from typing import Any

import pytest
from oci_documents import FULL, drop, full, put

from seatrial.runtime.errors import ConfigError
from seatrial.runtime.spec.rules import check
from seatrial.runtime.spec.schema import CONFIG

U64 = [-1, 2**64, 1.5, "1", True, None, [], 10**400]
U32 = [-1, 2**32, 1.5, "1", False, None, {}]
U16 = [-1, 65536, 1.5, "1", None]
I64 = [-(2**63) - 1, 2**63, 1.0, "1", True, None]
I32 = [-(2**31) - 1, 2**31, 1.5, "1", None]
TEXT = [1, True, None, [], {}, 1.5, "a\0b"]
FLAG = ["true", 1, 0, None, {}, []]
OBJECT = [[], "x", 1, None, True]
ARRAY = [{}, "x", 1, None, False]

# From schema/config-schema.json and schema/config-linux.json; written down here by hand, not read from the tables.
WRONG: dict[str, list[Any]] = {
    "ociVersion": TEXT,
    "root": OBJECT,
    "root.path": TEXT,
    "root.readonly": FLAG,
    "hostname": TEXT,
    "domainname": TEXT,
    "annotations": OBJECT,
    "mounts": ARRAY,
    "mounts[0]": OBJECT,
    "mounts[0].destination": TEXT,
    "mounts[0].type": TEXT,
    "mounts[0].source": TEXT,
    "mounts[0].options": ARRAY,
    "mounts[0].options[0]": TEXT,
    "mounts[0].uidMappings": ARRAY,
    "mounts[0].gidMappings[0]": OBJECT,
    "mounts[0].gidMappings[0].size": U32,
    "hooks": OBJECT,
    **{
        f"hooks.{kind}{member}": wrong
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        for member, wrong in (
            ("", ARRAY),
            ("[0]", OBJECT),
            ("[0].path", TEXT),
            ("[0].args", ARRAY),
            ("[0].args[1]", TEXT),
            ("[0].env", ARRAY),
            ("[0].env[0]", TEXT),
            ("[0].timeout", [0, -1, 1.5, "1", None, True]),
        )
    },
    "process": OBJECT,
    "process.terminal": FLAG,
    "process.consoleSize": OBJECT,
    "process.consoleSize.height": U64,
    "process.consoleSize.width": U64,
    "process.args": ARRAY,
    "process.args[2]": TEXT,
    "process.env": ARRAY,
    "process.env[0]": TEXT,
    "process.cwd": TEXT,
    "process.user": OBJECT,
    "process.user.uid": U32,
    "process.user.gid": U32,
    "process.user.umask": U32,
    "process.user.additionalGids": ARRAY,
    "process.user.additionalGids[1]": U32,
    "process.capabilities": OBJECT,
    **{
        f"process.capabilities.{name}{member}": wrong
        for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        for member, wrong in (("", ARRAY), ("[0]", TEXT))
    },
    "process.rlimits": ARRAY,
    "process.rlimits[0]": OBJECT,
    "process.rlimits[0].type": ["rlimit_nofile", "NOFILE", "", "RLIMIT_NOSUCH", 7, None],
    "process.rlimits[0].soft": U64,
    "process.rlimits[0].hard": U64,
    "process.noNewPrivileges": FLAG,
    "process.apparmorProfile": TEXT,
    "process.selinuxLabel": TEXT,
    "process.oomScoreAdj": [1.5, "1", True, None],
    "process.scheduler": OBJECT,
    "process.scheduler.policy": ["sched_other", "SCHED_OTHERX", "", 0, None],
    "process.scheduler.nice": I32,
    "process.scheduler.priority": I32,
    "process.scheduler.flags": ARRAY,
    "process.scheduler.flags[0]": ["sched_flag_reset_on_fork", "", 1, None],
    "process.scheduler.runtime": U64,
    "process.scheduler.deadline": U64,
    "process.scheduler.period": U64,
    "process.ioPriority": OBJECT,
    "process.ioPriority.class": ["ioprio_class_rt", "IOPRIO_CLASS_RTX", "", 1, None],
    "process.ioPriority.priority": I32,
    "process.execCPUAffinity": OBJECT,
    "process.execCPUAffinity.initial": ["a", "0;1", 0, None],
    "process.execCPUAffinity.final": ["a", "0;1", 0, None],
    "linux": OBJECT,
    "linux.namespaces": ARRAY,
    "linux.namespaces[0]": OBJECT,
    "linux.namespaces[0].type": ["MOUNT", "mountX", "", 1, None, "mnt", "net"],
    "linux.namespaces[0].path": TEXT,
    "linux.uidMappings": ARRAY,
    "linux.gidMappings": ARRAY,
    "linux.uidMappings[0].containerID": U32,
    "linux.uidMappings[0].hostID": U32,
    "linux.gidMappings[0].size": U32,
    "linux.timeOffsets": OBJECT,
    "linux.timeOffsets.boottime": OBJECT,
    "linux.timeOffsets.boottime.secs": I64,
    "linux.timeOffsets.monotonic": OBJECT,
    "linux.timeOffsets.monotonic.nanosecs": U32,
    "linux.devices": ARRAY,
    "linux.devices[0]": OBJECT,
    "linux.devices[0].type": ["x", "cb", "", 1, None, "a"],
    "linux.devices[0].path": TEXT,
    "linux.devices[0].major": I64,
    "linux.devices[0].minor": I64,
    "linux.devices[0].fileMode": [-1, 512, 0o100644, 0o040755, 0o021644, 1.5, "1", None],
    "linux.devices[0].uid": U32,
    "linux.devices[0].gid": U32,
    "linux.netDevices": OBJECT,
    "linux.netDevices.eth0": OBJECT,
    "linux.netDevices.eth0.name": TEXT,
    "linux.cgroupsPath": TEXT,
    "linux.rootfsPropagation": ["PRIVATE", "privateX", "", 1, None],
    "linux.maskedPaths": ARRAY,
    "linux.maskedPaths[0]": TEXT,
    "linux.readonlyPaths": ARRAY,
    "linux.readonlyPaths[0]": TEXT,
    "linux.mountLabel": TEXT,
    "linux.sysctl": OBJECT,
    "linux.personality": OBJECT,
    "linux.personality.domain": ["linux", "LINUXX", "", 0, None],
    "linux.personality.flags": ARRAY,
    "linux.intelRdt": OBJECT,
    "linux.intelRdt.closID": TEXT,
    "linux.intelRdt.schemata": ARRAY,
    "linux.intelRdt.schemata[0]": [1, None, "L3:0=f\nMB:0=10"],
    "linux.intelRdt.l3CacheSchema": TEXT,
    "linux.intelRdt.memBwSchema": ["L3:0=f", "MB:0=10\nL3:0=f", 1, None],
    "linux.intelRdt.enableMonitoring": FLAG,
    "linux.memoryPolicy": OBJECT,
    "linux.memoryPolicy.mode": ["mpol_default", "MPOL_DEFAULTX", "", 1, None],
    "linux.memoryPolicy.nodes": TEXT,
    "linux.memoryPolicy.flags": ARRAY,
    "linux.memoryPolicy.flags[0]": ["mpol_f_static_nodes", 1, None],
    "linux.resources": OBJECT,
    "linux.resources.devices": ARRAY,
    "linux.resources.devices[0]": OBJECT,
    "linux.resources.devices[0].allow": FLAG,
    "linux.resources.devices[0].type": TEXT,
    "linux.resources.devices[0].major": I64,
    "linux.resources.devices[0].minor": I64,
    "linux.resources.devices[0].access": TEXT,
    "linux.resources.memory": OBJECT,
    **{f"linux.resources.memory.{name}": I64 for name in ("limit", "reservation", "swap", "kernel", "kernelTCP")},
    "linux.resources.memory.swappiness": U64,
    **{
        f"linux.resources.memory.{name}": FLAG for name in ("disableOOMKiller", "useHierarchy", "checkBeforeUpdate")
    },
    "linux.resources.cpu": OBJECT,
    **{f"linux.resources.cpu.{name}": U64 for name in ("shares", "burst", "period", "realtimePeriod")},
    **{f"linux.resources.cpu.{name}": I64 for name in ("quota", "realtimeRuntime", "idle")},
    "linux.resources.cpu.cpus": TEXT,
    "linux.resources.cpu.mems": TEXT,
    "linux.resources.pids": OBJECT,
    "linux.resources.pids.limit": I64,
    "linux.resources.blockIO": OBJECT,
    "linux.resources.blockIO.weight": U16,
    "linux.resources.blockIO.leafWeight": U16,
    "linux.resources.blockIO.weightDevice": ARRAY,
    "linux.resources.blockIO.weightDevice[0].weight": U16,
    "linux.resources.blockIO.throttleReadBpsDevice": ARRAY,
    "linux.resources.blockIO.throttleWriteBpsDevice[0].major": I64,
    "linux.resources.blockIO.throttleReadIOPSDevice[0].minor": I64,
    "linux.resources.blockIO.throttleWriteIOPSDevice[0].rate": U64,
    "linux.resources.hugepageLimits": ARRAY,
    "linux.resources.hugepageLimits[0].pageSize": ["2mb", "64kB", "0KB", "2M", "MB", "", 2, None],
    "linux.resources.hugepageLimits[0].limit": U64,
    "linux.resources.network": OBJECT,
    "linux.resources.network.classID": U32,
    "linux.resources.network.priorities": ARRAY,
    "linux.resources.network.priorities[0].name": TEXT,
    "linux.resources.network.priorities[0].priority": U32,
    "linux.resources.rdma": OBJECT,
    "linux.resources.rdma.mlx5_0.hcaHandles": U32,
    "linux.resources.rdma.mlx5_0.hcaObjects": U32,
    "linux.resources.unified": OBJECT,
    "linux.seccomp": OBJECT,
    "linux.seccomp.defaultAction": ["scmp_act_kill", "SCMP_ACT_KILLX", "", 1, None],
    "linux.seccomp.defaultErrnoRet": U32,
    "linux.seccomp.architectures": ARRAY,
    "linux.seccomp.architectures[0]": ["scmp_arch_x86", "SCMP_ARCH_NOSUCH", "", 1, None],
    "linux.seccomp.flags": ARRAY,
    "linux.seccomp.flags[0]": ["seccomp_filter_flag_tsync", "", 1, None],
    "linux.seccomp.listenerPath": TEXT,
    "linux.seccomp.listenerMetadata": TEXT,
    "linux.seccomp.syscalls": ARRAY,
    "linux.seccomp.syscalls[0]": OBJECT,
    "linux.seccomp.syscalls[0].names": [*ARRAY, []],
    "linux.seccomp.syscalls[0].names[0]": TEXT,
    "linux.seccomp.syscalls[0].action": ["scmp_act_kill", "SCMP_ACT_KILLX", "", 1, None],
    "linux.seccomp.syscalls[0].errnoRet": U32,
    "linux.seccomp.syscalls[0].args": ARRAY,
    "linux.seccomp.syscalls[0].args[0].index": U32,
    "linux.seccomp.syscalls[0].args[0].value": U64,
    "linux.seccomp.syscalls[0].args[0].valueTwo": U64,
    "linux.seccomp.syscalls[0].args[0].op": ["scmp_cmp_ne", "SCMP_CMP_NEX", "", 1, None],
}

REQUIRED = [
    "ociVersion",
    "root",
    "root.path",
    "mounts[0].destination",
    "mounts[0].uidMappings[0].size",
    "hooks.poststop[0].path",
    "process.args",
    "process.cwd",
    "process.user.uid",
    "process.user.gid",
    "process.rlimits[0].type",
    "process.rlimits[0].soft",
    "process.rlimits[0].hard",
    "process.scheduler.policy",
    "process.ioPriority.class",
    "process.ioPriority.priority",
    "linux.namespaces[0].type",
    "linux.uidMappings[0].containerID",
    "linux.gidMappings[0].hostID",
    "linux.gidMappings[0].size",
    "linux.devices[0].type",
    "linux.devices[0].path",
    "linux.resources.devices[0].allow",
    "linux.resources.blockIO.weightDevice[0].major",
    "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
    "linux.resources.hugepageLimits[0].pageSize",
    "linux.resources.hugepageLimits[0].limit",
    "linux.resources.network.priorities[0].name",
    "linux.personality.domain",
    "linux.memoryPolicy.mode",
    "linux.seccomp.defaultAction",
    "linux.seccomp.syscalls[0].names",
    "linux.seccomp.syscalls[0].action",
    "linux.seccomp.syscalls[0].args[0].index",
    "linux.seccomp.syscalls[0].args[0].value",
    "linux.seccomp.syscalls[0].args[0].op",
]


def objects(value: Any, path: str = "") -> list[str]:
    """Paths of all objects inside a document, the document itself as ""."""
    found = []
    if isinstance(value, dict):
        found.append(path)
        for name, item in value.items():
            found += objects(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += objects(item, f"{path}[{index}]")
    return found


FREE_NAMES = ("annotations", "linux.sysctl", "linux.netDevices", "linux.resources.rdma", "linux.resources.unified")
FIXED = [path for path in objects(FULL) if path not in (*FREE_NAMES, "linux.timeOffsets")]


def test_the_full_document_fits() -> None:
    check(CONFIG, FULL)


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_value_is_refused_with_its_path(path: str) -> None:
    for value in WRONG[path]:
        with pytest.raises(ConfigError) as caught:
            check(CONFIG, put(full(), path, value))
        assert caught.value.path == path, value
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_required_member_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="missing") as caught:
        check(CONFIG, drop(full(), path))
    assert caught.value.path == path


@pytest.mark.parametrize("path", FIXED)
def test_an_unknown_member_is_accepted_everywhere(path: str) -> None:
    for value in (None, {"x": [1.5]}, "text", 10**400):
        check(CONFIG, put(full(), f"{path}.x-unknown" if path else "x-unknown", value))


@pytest.mark.parametrize("path", ["annotations", "linux.sysctl", "linux.resources.unified"])
def test_free_names_are_quoted_in_the_path(path: str) -> None:
    document = put(full(), path, {"net.core.x": 1})
    with pytest.raises(ConfigError) as caught:
        check(CONFIG, document)
    assert caught.value.path == f'{path}["net.core.x"]'


def test_an_annotation_may_contain_nul() -> None:
    check(CONFIG, put(full(), "annotations", {"k": "a\0b"}))


def test_the_message_says_what_was_expected_and_found() -> None:
    with pytest.raises(ConfigError) as caught:
        check(CONFIG, put(full(), "process.user.uid", "x"))
    assert str(caught.value) == 'process.user.uid: expected an unsigned 32-bit integer, found "x"'
    with pytest.raises(ConfigError) as caught:
        check(CONFIG, put(full(), "process.user.uid", None))
    assert str(caught.value).endswith("found null; leave the member out")


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        check(CONFIG, put(full(), "linux", "x" * 100_000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_the_whole_range_of_64_bits_is_accepted(value: int) -> None:
    check(CONFIG, put(full(), "process.rlimits[0].hard", value))
