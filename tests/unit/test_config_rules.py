"""Rules beyond types: what `load_config` refuses, with the JSON path, and what it warns about."""

from __future__ import annotations

import os
from typing import Any

import pytest
from oci_documents import drop, plain, put, text

from seatrial.runtime import capability
from seatrial.runtime.config import Config
from seatrial.runtime.errors import ConfigError, UnsupportedError
from seatrial.runtime.load import load_config

USER = {"type": "user"}
TIME = {"type": "time"}
MAP = {"containerID": 0, "hostID": 1000, "size": 10}
LIMIT = {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}
NOTIFY = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}
NODE_MODES = ("BIND", "INTERLEAVE", "WEIGHTED_INTERLEAVE", "PREFERRED_MANY")
SECCOMP_RULE = {"names": ["read"], "action": "SCMP_ACT_ERRNO"}


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers whoever runs the tests."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(capability, "bounding", lambda: capability.ALL)


@pytest.fixture
def bundle(tmp_path: Any) -> str:
    os.mkdir(tmp_path / "rootfs")
    return str(tmp_path)


def load(bundle: str, document: dict[str, Any], **options: Any) -> Config:
    with open(os.path.join(bundle, "config.json"), "wb") as file:
        file.write(text(document))
    return load_config(bundle, **options)


def seccomp(**members: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", **members}


def namespaces(*more: dict[str, Any], without: str = "") -> list[dict[str, Any]]:
    listed = [entry for entry in plain()["linux"]["namespaces"] if entry["type"] != without]
    return [*listed, *more]


def bound(*words: str, **members: Any) -> dict[str, Any]:
    return {"destination": "/x", "type": "none", "source": "/", "options": ["bind", *words], **members}


def disk(major: int = 8, minor: int = 0, **members: int) -> dict[str, int]:
    return {"major": major, "minor": minor, **members}


# (members to set, JSON path of the error, part of its text)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    *(
        ({"ociVersion": version}, "ociVersion", "SemVer")
        for version in ("", "invalid", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "\uff11.0")
    ),
    *(({"ociVersion": version}, "ociVersion", "or a later 1.x") for version in ("99.0.0", "0.9.9", "2.0.0-rc1")),
    ({"root.path": ""}, "root.path", "empty"),
    ({"root.path": "nosuch"}, "root.path", "No such file"),
    ({"root.path": "config.json"}, "root.path", "not a directory"),
    ({"root.path": "config.json/x"}, "root.path", "Not a directory"),
    ({"annotations": {"": "x"}}, "annotations", "empty"),
    ({"hostname": "h" * 65}, "hostname", "64"),
    ({"hostname": "h", "linux.namespaces": namespaces(without="uts")}, "hostname", "uts"),
    ({"domainname": "h", "linux.namespaces": namespaces(without="uts")}, "domainname", "uts"),
    # process
    ({"process.args": []}, "process.args", "empty"),
    *(({"process.cwd": cwd}, "process.cwd", "absolute") for cwd in ("", ".", "tmp")),
    ({"process.user.uid": 2**32 - 1}, "process.user.uid", "no id"),
    ({"process.user.gid": 2**32 - 1}, "process.user.gid", "no id"),
    ({"process.user.additionalGids": [1, 2**32 - 1]}, "process.user.additionalGids[1]", "no id"),
    ({"process.terminal": True, "process.consoleSize": {"width": 1}}, "process.consoleSize.height", "required"),
    ({"process.terminal": True, "process.consoleSize": {"height": 1}}, "process.consoleSize.width", "required"),
    ({"process.terminal": True, "process.consoleSize": {"height": 1, "width": 65536}}, "process.consoleSize.width", ""),
    ({"process.rlimits": [LIMIT, LIMIT]}, "process.rlimits[1].type", "second"),
    ({"process.rlimits": [{**LIMIT, "soft": 3}]}, "process.rlimits[0].soft", "above the hard limit"),
    ({"process.oomScoreAdj": 1001}, "process.oomScoreAdj", "1000"),
    ({"process.oomScoreAdj": -1001}, "process.oomScoreAdj", "1000"),
    ({"process.scheduler": {"policy": "SCHED_OTHER", "nice": 20}}, "process.scheduler.nice", "19"),
    ({"process.scheduler": {"policy": "SCHED_BATCH", "nice": -21}}, "process.scheduler.nice", "-20"),
    ({"process.scheduler": {"policy": "SCHED_OTHER", "priority": 1}}, "process.scheduler.priority", "only"),
    ({"process.scheduler": {"policy": "SCHED_FIFO"}}, "process.scheduler.priority", "99"),
    ({"process.scheduler": {"policy": "SCHED_RR", "priority": 100}}, "process.scheduler.priority", "99"),
    ({"process.scheduler": {"policy": "SCHED_OTHER", "runtime": 1}}, "process.scheduler.runtime", "SCHED_DEADLINE"),
    ({"process.scheduler": {"policy": "SCHED_DEADLINE", "runtime": 2, "deadline": 1}}, "process.scheduler", "runtime"),
    ({"process.scheduler": {"policy": "SCHED_DEADLINE"}}, "process.scheduler", "0 < runtime"),
    ({"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}, "process.ioPriority.priority", "7"),
    ({"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": -1}}, "process.ioPriority.priority", "0"),
    *(
        (
            {"linux.memoryPolicy": {"mode": f"MPOL_{mode}", "nodes": nodes, "flags": flags}},
            f"linux.memoryPolicy.{path}",
            text,
        )
        for mode, nodes, flags, path, text in (
            ("DEFAULT", "0", [], "nodes", "takes no nodes"),
            ("LOCAL", "0-1", [], "nodes", "takes no nodes"),
            *((mode, nodes, [], "nodes", "at least one") for mode in NODE_MODES for nodes in ("", " ")),
            *(
                ("BIND", nodes, [], "nodes", "neither")
                for nodes in ("a", "0,", ",", "-1", "0-", "0x1", "1 2", "\u0661")
            ),
            ("BIND", "3-1", [], "nodes", "is empty"),
            ("BIND", "0,1024", [], "nodes", "above 1023"),
            ("BIND", "0-9876543210", [], "nodes", "above 1023"),
            ("BIND", "0-" + "9" * 5000, [], "nodes", "above 1023"),
            ("BIND", "0", ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"], "flags", "exclude each other"),
            ("PREFERRED", "0", ["MPOL_F_NUMA_BALANCING"], "flags", "MPOL_BIND and MPOL_PREFERRED_MANY"),
            ("PREFERRED", "", ["MPOL_F_STATIC_NODES"], "flags", "there are none"),
            ("LOCAL", "", ["MPOL_F_RELATIVE_NODES"], "flags", "there are none"),
        )
    ),
    # mounts
    ({"mounts": [{"destination": ""}]}, "mounts[0].destination", "empty"),
    ({"mounts": [{"destination": "/a", "type": "tmpfs"}, {"destination": "/x"}]}, "mounts[1].type", "missing"),
    ({"mounts": [{"destination": "/x", "options": ["bind"]}]}, "mounts[0].source", "missing"),
    (
        {"mounts": [{"destination": "/x", "source": "/y", "options": ["rbind", "size=1"]}]},
        "mounts[0].options",
        "size=1",
    ),
    ({"mounts": [{"destination": "/x", "type": "proc", "options": ["tmpcopyup"]}]}, "mounts[0].options", "tmpfs only"),
    ({"mounts": [bound(uidMappings=[MAP])]}, "mounts[0].gidMappings", "required with uidMappings"),
    ({"mounts": [bound(gidMappings=[MAP])]}, "mounts[0].uidMappings", "required with gidMappings"),
    (
        {"mounts": [bound(uidMappings=[MAP, MAP], gidMappings=[MAP])]},
        "mounts[0].uidMappings[1].containerID",
        "overlaps",
    ),
    (
        {"mounts": [bound(uidMappings=[MAP], gidMappings=[{**MAP, "size": 0}])]},
        "mounts[0].gidMappings[0].size",
        "less than 1",
    ),
    *(
        ({"mounts": [{**bound(**maps), "options": [*options, *words]}]}, f"mounts[0].{member}", "only a bind mount")
        for options in ([], ["nosuid"])
        for maps, words, member in (
            ({}, ["idmap"], "options"),
            ({"uidMappings": [MAP], "gidMappings": [MAP]}, [], "uidMappings"),
            ({"uidMappings": [MAP], "gidMappings": [MAP]}, ["ridmap"], "uidMappings"),
        )
    ),
    *(
        ({"mounts": [bound(word)]}, "mounts[0].options", "has no user namespace") for word in ("idmap", "ridmap")
    ),
    (
        {"mounts": [bound("remount", uidMappings=[MAP], gidMappings=[MAP])]},
        "mounts[0].uidMappings",
        "when it is made",
    ),
    # hooks
    *(
        ({f"hooks.{kind}": [{"path": "/ok"}, {"path": path}]}, f"hooks.{kind}[1].path", "absolute")
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        for path in ("hook.sh", "bin/true", "")
    ),
    # namespaces and mappings
    ({"linux.namespaces": namespaces({"type": "uts"})}, "linux.namespaces[6]", "second uts"),
    ({"linux.namespaces": namespaces({"type": "uts", "path": "/x"})}, "linux.namespaces[6]", "second uts"),
    *(
        ({"linux.namespaces": [{"type": "network", "path": path}]}, "linux.namespaces[0].path", "absolute")
        for path in ("proc/1/ns/net", "net", "")
    ),
    ({"linux.uidMappings": [MAP]}, "linux.uidMappings", "user namespace"),
    ({"linux.gidMappings": [MAP]}, "linux.gidMappings", "user namespace"),
    ({"linux.namespaces": namespaces(USER)}, "linux.uidMappings", "missing"),
    ({"linux.namespaces": namespaces(USER), "linux.uidMappings": [MAP]}, "linux.gidMappings", "missing"),
    *(
        (
            {"linux.namespaces": namespaces(USER), "linux.uidMappings": uids, "linux.gidMappings": [MAP]},
            f"linux.uidMappings{path}",
            problem,
        )
        for uids, path, problem in (
            ([{**MAP, "size": 0}], "[0].size", "less than 1"),
            ([MAP, {**MAP, "hostID": 5000}], "[1].containerID", "overlaps the range of linux.uidMappings[0]"),
            ([{**MAP, "containerID": 5}, MAP], "[0].containerID", "overlaps"),
            ([MAP, {**MAP, "containerID": 10, "hostID": 1009}], "[1].hostID", "overlaps"),
            ([{**MAP, "hostID": 2**32 - 2}], "[0].hostID", "4294967294"),
            ([{"containerID": i, "hostID": i, "size": 1} for i in range(341)], "", "340"),
        )
    ),
    # time offsets
    ({"linux.timeOffsets": {"boottime": {"secs": 1}}}, "linux.timeOffsets", "time namespace"),
    (
        {"linux.namespaces": namespaces({**TIME, "path": "/x"}), "linux.timeOffsets": {"boottime": {"secs": 1}}},
        "linux.timeOffsets",
        "new time namespace",
    ),
    *(
        (
            {"linux.namespaces": namespaces(TIME), "linux.timeOffsets": offsets},
            f"linux.timeOffsets.{path}",
            problem,
        )
        for offsets, path, problem in (
            ({"realtime": {}}, "realtime", "monotonic"),
            ({"nosuch": {"secs": 1}}, "nosuch", "monotonic"),
            ({"boottime": {"nanosecs": 10**9}}, "boottime.nanosecs", "999999999"),
        )
    ),
    # devices
    ({"linux.devices": [{"type": "c", "path": "/x", "minor": 1}]}, "linux.devices[0].major", "missing"),
    ({"linux.devices": [{"type": "b", "path": "/x", "major": 1}]}, "linux.devices[0].minor", "missing"),
    ({"linux.devices": [{"type": "p", "path": "x"}]}, "linux.devices[0].path", "absolute"),
    ({"linux.devices": [{"type": "c", "path": "/x", "major": 4096, "minor": 1}]}, "linux.devices[0].major", "4095"),
    ({"linux.devices": [{"type": "u", "path": "/x", "major": 1, "minor": -1}]}, "linux.devices[0].minor", "0"),
    # paths
    ({"linux.maskedPaths": ["/ok", "proc/kcore"]}, "linux.maskedPaths[1]", "absolute"),
    ({"linux.readonlyPaths": ["", "/ok"]}, "linux.readonlyPaths[0]", "absolute"),
    ({"linux.maskedPaths": ["/x"], "linux.namespaces": []}, "linux.maskedPaths", "mount namespace"),
    ({"linux.readonlyPaths": ["/x"], "linux.namespaces": []}, "linux.readonlyPaths", "mount namespace"),
    ({"root.readonly": True, "linux.namespaces": []}, "root.readonly", "mount namespace"),
    ({"linux.rootfsPropagation": "slave", "linux.namespaces": []}, "linux.rootfsPropagation", "mount namespace"),
    # sysctl
    *(
        ({"linux.sysctl": {key: "1"}, "linux.namespaces": namespaces(without=gone)}, f'linux.sysctl["{key}"]', problem)
        for key, gone, problem in (
            ("vm.swappiness", "", "no namespace"),
            ("kernel.hostname", "", "use hostname"),
            ("kernel.msgmax", "ipc", "needs a ipc namespace"),
            ("fs.mqueue.msg_max", "ipc", "needs a ipc namespace"),
            ("net.ipv4.ip_forward", "network", "needs a net namespace"),
            ("kernel.domainname", "uts", "needs a uts namespace"),
            ("user.max_user_namespaces", "", "needs a user namespace"),
            ("net/../vm/x", "", "not the name"),
            ("net..x", "", "not the name"),
        )
    ),
    ({"linux.sysctl": {"net.a.b": "1", "net/a/b": "1"}}, "linux.sysctl", "twice"),
    # cgroups
    ({"linux.cgroupsPath": "../x"}, "linux.cgroupsPath", ".."),
    ({"linux.cgroupsPath": "/a/../../b"}, "linux.cgroupsPath", ".."),
    ({"linux.cgroupsPath": "/a\nb"}, "linux.cgroupsPath", "newline"),
    *(
        ({f"linux.resources.{group}": values}, f"linux.resources.{group}.{name}", problem)
        for group, values, name, problem in (
            ("memory", {"limit": -2}, "limit", "-1"),
            ("memory", {"swappiness": 101}, "swappiness", "100"),
            ("memory", {"limit": 10, "swap": 9}, "swap", "below"),
            ("memory", {"limit": -1, "swap": 9}, "swap", "below"),
            ("cpu", {"idle": 2}, "idle", "0 or 1"),
            ("cpu", {"quota": 10000, "burst": 20000}, "burst", "quota"),
            ("cpu", {"cpus": "a"}, "cpus", "ranges"),
            ("cpu", {"cpus": "3-1"}, "cpus", "ranges"),
            ("cpu", {"mems": "1-"}, "mems", "ranges"),
            ("pids", {"limit": -2}, "limit", "-1"),
            ("memory", {"kernel": -2}, "kernel", "-1"),
            ("memory", {"kernelTCP": -2}, "kernelTCP", "-1"),
            ("blockIO", {"weight": 9}, "weight", "10 and 1000"),
            ("blockIO", {"leafWeight": 1001}, "leafWeight", "10 and 1000"),
            ("blockIO", {"weightDevice": [disk(weight=1001)]}, "weightDevice[0].weight", "10 and 1000"),
            ("blockIO", {"weightDevice": [disk(leafWeight=1)]}, "weightDevice[0].leafWeight", "10 and 1000"),
            ("blockIO", {"weightDevice": [disk()]}, "weightDevice[0]", "needs weight or leafWeight"),
            ("blockIO", {"weightDevice": [disk(-1, weight=10)]}, "weightDevice[0].major", "4095"),
            ("blockIO", {"throttleReadBpsDevice": [disk(4096, rate=1)]}, "throttleReadBpsDevice[0].major", "4095"),
            ("blockIO", {"throttleReadIOPSDevice": [disk(8, 1 << 20, rate=1)]}, "throttleReadIOPSDevice[0].minor", "1"),
            ("network", {"priorities": [{"name": "", "priority": 1}]}, "priorities[0].name", "interface"),
            ("network", {"priorities": [{"name": "a 9", "priority": 1}]}, "priorities[0].name", "interface"),
            ("network", {"priorities": [{"name": "x" * 16, "priority": 1}]}, "priorities[0].name", "interface"),
            ("rdma", {"mlx5": {}}, "mlx5", "hcaHandles or hcaObjects"),
        )
    ),
    *(
        ({"linux.resources.unified": {key: "1"}}, f'linux.resources.unified{path}', "not the name")
        for key, path in (("../x.max", '["../x.max"]'), ("foo", ".foo"), ("..", '[".."]'), ("a/b.c", '["a/b.c"]'))
    ),
    *(
        ({"linux.resources.devices": [{"allow": True, name: value}]}, f"linux.resources.devices[0].{name}", "expected")
        for name, value in (("type", "x"), ("type", ""), ("access", "x"), ("access", ""))
    ),
    *(
        ({"linux.resources.rdma": {name: {"hcaHandles": 1}}}, f'linux.resources.rdma["{name}"]', "not the name")
        for name in ("", "a b")
    ),
    ({"linux.resources.devices": [{"allow": True, "major": -2}]}, "linux.resources.devices[0].major", "number"),
    # intelRdt
    *(
        ({"linux.intelRdt": {"closID": name}}, "linux.intelRdt.closID", "directory")
        for name in (".", "..", "a/b", "/a", "//", "a\nb")
    ),
    # network devices
    *(
        ({"linux.netDevices": {"eth0": {"name": name}}}, "linux.netDevices.eth0.name", problem)
        for name, problem in (
            ("x" * 16, "15 bytes"), ("\u00e9" * 8, "15 bytes"), (".", "slash"), ("..", "slash"), ("a/b", "slash"),
            ("a:b", "slash"), ("a b", "slash"), ("a\n", "slash"),
        )
    ),
    ({"linux.netDevices": {"": {"name": "x"}}}, 'linux.netDevices[""]', "empty"),
    ({"linux.netDevices": {"a\0b": {}}}, 'linux.netDevices["a\\u0000b"]', "slash"),
    ({"linux.netDevices": {"x" * 16: {}}}, f"linux.netDevices.{'x' * 16}", "15 bytes"),
    ({"linux.netDevices": {"a": {"name": "c"}, "b": {"name": "c"}}}, "linux.netDevices.b.name", "name of a in"),
    ({"linux.netDevices": {"a": {}, "b": {"name": "a"}}}, "linux.netDevices.b.name", "name of a in"),
    (
        {"linux.netDevices": {"a": {}}, "linux.namespaces": namespaces(without="network")},
        "linux.netDevices",
        "needs a network namespace",
    ),
    # seccomp
    ({"linux.seccomp": seccomp(defaultErrnoRet=1)}, "linux.seccomp.defaultErrnoRet", "takes no errno"),
    (
        {"linux.seccomp": seccomp(syscalls=[{"names": ["x"], "action": "SCMP_ACT_KILL", "errnoRet": 1}])},
        "linux.seccomp.syscalls[0].errnoRet",
        "takes no errno",
    ),
    *(
        ({"linux.seccomp": seccomp(syscalls=[{**SECCOMP_RULE, **part}])}, f"linux.seccomp.syscalls[0].{path}", problem)
        for part, path, problem in (
            ({"errnoRet": 65536}, "errnoRet", "16 bits"),
            ({"names": ["a", ""]}, "names[1]", "empty"),
        )
    ),
    ({"linux.seccomp": seccomp(listenerMetadata="x")}, "linux.seccomp.listenerMetadata", "without listenerPath"),
    (
        {
            "linux.seccomp": seccomp(
                syscalls=[{**SECCOMP_RULE, "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]
            )
        },
        "linux.seccomp.syscalls[0].args[0].index",
        "six",
    ),
]
REFUSED += [
    (
        {"linux.seccomp": {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}},
        "linux.seccomp.defaultAction",
        "no default action",
    ),
    ({"linux.seccomp": NOTIFY}, "linux.seccomp.listenerPath", "linux.seccomp.syscalls[0] has SCMP_ACT_NOTIFY"),
]

UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"process.scheduler": {"policy": "SCHED_ISO"}}, "process.scheduler.policy"),
    ({"linux.personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}, "linux.personality.flags[0]"),
]


ACCEPTED: list[dict[str, Any]] = [
    *({"ociVersion": version} for version in ("1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.99.0", "1.0.0-rc.5+x.01")),
    {"linux.personality": {"domain": "LINUX32", "flags": []}},
    {"process.apparmorProfile": "", "process.selinuxLabel": "", "linux.mountLabel": ""},
    {"linux.netDevices": {"a" * 15: {"name": "b" * 15}, "c": {"name": "eth%d"}, "d": {"name": "eth%d"}}},
    {"linux.intelRdt": {}},
    {"linux.intelRdt": {"closID": "/", "schemata": ["L3:0=f"], "memBwSchema": "MB:0=10", "enableMonitoring": True}},
    {"linux.netDevices": {}, "linux.resources.blockIO": {}, "linux.resources.rdma": {}, "linux.resources.pids": {}},
    {"linux.resources.hugepageLimits": [], "linux.resources.network": {"priorities": []}},
    {"linux.resources.memory": {"kernel": 1, "kernelTCP": -1, "useHierarchy": False}},
    {"linux.resources.blockIO": {"weight": 10, "leafWeight": 1000, "throttleReadBpsDevice": [disk(rate=0)]}},
    {"linux.resources.blockIO": {"weight": 0, "leafWeight": 0, "weightDevice": [disk(weight=500, leafWeight=0)]}},
    {"linux.resources.hugepageLimits": [{"pageSize": size, "limit": 1} for size in ("64KB", "2MB", "1GB")]},
    {"linux.resources.network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 0}]}},
    {"linux.resources.rdma": {"mlx5_1": {"hcaHandles": 0}, "mlx4_0": {"hcaObjects": 5}}},
    {"linux.seccomp": seccomp(listenerPath="/nosuch")},
    {"linux.seccomp": NOTIFY | {"listenerPath": "/nosuch", "listenerMetadata": "x"}},
    {"linux.namespaces": namespaces(TIME), "linux.timeOffsets": {"boottime": {"secs": -5, "nanosecs": 999999999}}},
    {"linux.namespaces": namespaces(USER), "linux.uidMappings": [MAP], "linux.gidMappings": [MAP]},
    *(
        {
            "mounts": [bound(word)],
            "linux.namespaces": namespaces(USER),
            "linux.uidMappings": [MAP],
            "linux.gidMappings": [MAP],
        }
        for word in ("idmap", "ridmap")
    ),
    {"mounts": [bound(uidMappings=[MAP], gidMappings=[MAP])]},
    {"mounts": [bound("idmap", uidMappings=[MAP], gidMappings=[MAP])]},
    *(
        {"linux.memoryPolicy": {"mode": f"MPOL_{mode}", "nodes": nodes, "flags": flags}}
        for mode, nodes, flags in (
            ("DEFAULT", "", []),
            ("PREFERRED", "", []),
            ("PREFERRED_MANY", "0-1, 3", ["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"]),
        )
    ),
    {"linux.memoryPolicy": {"mode": "MPOL_LOCAL"}},
    {"linux.namespaces": []},
    {"hooks": {}},
    {"annotations": {}},
    {"annotations": {"a": "", "com.example.long": "{\"x\": 1}\n\u00e9"}},
    {"process.consoleSize": {}},
    {"linux.sysctl": {"net/ipv4/conf/eth0.1/forwarding": "1", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "5"}},
    {"linux.sysctl": {"kernel.domainname": "x"}},
    {"linux.resources.cpu": {"quota": -1, "burst": 5, "cpus": "0-1, 3", "mems": "0"}},
    {"linux.resources.memory": {"limit": 10, "swap": -1}},
    {"linux.devices": [{"type": "p", "path": "/x"}, {"type": "u", "path": "/y", "major": 1, "minor": 3}]},
    {"windows": {"layerFolders": 5}, "x-unknown": None},
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    document = plain()
    for path, value in changes.items():
        put(document, path, value)
    return document


@pytest.mark.parametrize(("changes", "path", "problem"), REFUSED)
def test_refused(bundle: str, changes: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(bundle, changed(changes))
    assert not isinstance(caught.value, UnsupportedError)
    assert caught.value.path == path
    assert problem in str(caught.value)


@pytest.mark.parametrize(("changes", "path"), UNSUPPORTED)
def test_unsupported_is_an_error_of_its_own(bundle: str, changes: dict[str, Any], path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load(bundle, changed(changes))
    assert caught.value.path == path


@pytest.mark.parametrize("changes", ACCEPTED)
def test_accepted(bundle: str, changes: dict[str, Any]) -> None:
    config = load(bundle, changed(changes))
    assert Config.from_json(config.to_json()) == config


def test_unknown_capabilities_are_a_warning(bundle: str) -> None:
    names = ["CAP_KILL", "CAP_NOSUCH", "cap_kill"]
    config = load(bundle, changed({"process.capabilities": {"bounding": names, "effective": ["CAP_NOSUCH"]}}))
    assert config.capabilities is not None
    assert config.capabilities.bounding == 1 << 5
    assert config.capabilities.effective == 0
    assert config.warnings == ["process.capabilities: ignored, unknown: CAP_NOSUCH, cap_kill"]


LABELS = [
    ("process.apparmorProfile", "docker-default", "AppArmor"),
    ("process.selinuxLabel", "u:r:t:s0", "SELinux"),
    ("linux.mountLabel", "u:r:t:s0", "SELinux"),
]


@pytest.mark.parametrize(("path", "label", "module"), LABELS)
def test_a_label_needs_its_security_module(
    bundle: str, monkeypatch: pytest.MonkeyPatch, path: str, label: str, module: str
) -> None:
    monkeypatch.setattr("seatrial.runtime.lsm.apparmor_enabled", lambda: False)
    monkeypatch.setattr("seatrial.runtime.lsm.selinux_enabled", lambda: False)
    with pytest.raises(ConfigError) as caught:
        load(bundle, changed({path: label}))
    assert str(caught.value) == f"{path}: {module} is not enabled on this host"
    monkeypatch.setattr("seatrial.runtime.lsm.apparmor_enabled", lambda: True)
    monkeypatch.setattr("seatrial.runtime.lsm.selinux_enabled", lambda: True)
    config = load(bundle, changed({path: label}))
    assert label in (config.apparmor_profile, config.process_label, config.mount_label)


@pytest.mark.parametrize(("given", "path"), [("/run/x", "/run/x"), ("@name", "@name"), ("x", "{bundle}/x")])
def test_the_path_of_the_seccomp_agent(bundle: str, given: str, path: str) -> None:
    config = load(bundle, changed({"linux.seccomp": NOTIFY | {"listenerPath": given, "listenerMetadata": "words"}}))
    assert config.seccomp is not None
    assert config.seccomp.listener_path == path.format(bundle=bundle)
    assert config.seccomp.listener_metadata == "words"


def test_a_relative_destination_counts_from_the_root(bundle: str) -> None:
    config = load(bundle, changed({"mounts": [{"destination": "mnt/x", "type": "tmpfs"}]}))
    assert config.mounts[0].destination == "/mnt/x"
    assert "mounts[0].destination" in config.warnings[0]


def test_mounts_without_a_mount_namespace_are_a_warning(bundle: str) -> None:
    config = load(bundle, changed({"mounts": [{"destination": "/x", "type": "tmpfs"}], "linux.namespaces": []}))
    assert "on the host" in config.warnings[0]


def test_process_may_be_absent(bundle: str) -> None:
    assert load(bundle, drop(plain(), "process")).process is None


def test_the_own_network_namespace_is_not_the_containers(bundle: str) -> None:
    joined = namespaces({"type": "network", "path": "/proc/self/ns/net"}, without="network")
    with pytest.raises(ConfigError, match="of the container's own"):
        load(bundle, changed({"linux.namespaces": joined, "linux.sysctl": {"net.ipv4.ip_forward": "1"}}))
