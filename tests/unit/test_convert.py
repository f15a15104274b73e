"""From the OCI document to the Config model."""

from __future__ import annotations

import os
from typing import Any

import pytest
from oci_documents import plain, put, text

from seatrial.runtime.config import Config, DeviceRule, IDMap, MemoryPolicy, MountIDMap, Namespace
from seatrial.runtime.load import parse_config


def convert(**changes: Any) -> Config:
    """The Config of the plain document with members changed; ``__`` in a name stands for a dot."""
    document = plain()
    for path, value in changes.items():
        put(document, path.replace("__", "."), value)
    return parse_config(text(document), "/bundle")


def test_root() -> None:
    assert convert().rootfs == "/bundle/rootfs"
    assert convert(root={"path": "a/b", "readonly": True}).rootfs == "/bundle/a/b"
    assert convert(root={"path": "/abs", "readonly": True}).readonlyfs
    assert not convert().readonlyfs


def test_the_root_is_the_real_path(tmp_path: Any) -> None:
    os.mkdir(tmp_path / "real")
    os.symlink("real", tmp_path / "link")
    assert convert(root={"path": str(tmp_path / "link")}).rootfs == str((tmp_path / "real").resolve())


def test_process() -> None:
    user = {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [3]}
    config = convert(
        process={
            "args": ["a", ""],
            "cwd": "/w",
            "env": ["A=b"],
            "user": user,
            "terminal": True,
            "consoleSize": {"height": 24, "width": 80},
            "noNewPrivileges": True,
            "oomScoreAdj": 0,
            "rlimits": [{"type": "RLIMIT_RTTIME", "soft": 0, "hard": 2**64 - 1}],
            "capabilities": {"ambient": ["CAP_CHECKPOINT_RESTORE"]},
            "scheduler": {"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 7},
        }
    )
    process = config.process
    assert process is not None
    assert (process.args, process.cwd, process.env) == (["a", ""], "/w", ["A=b"])
    assert (process.uid, process.gid, process.umask, process.additional_gids) == (1, 2, 63, [3])
    assert (process.terminal, process.console_height, process.console_width) == (True, 24, 80)
    assert config.no_new_privileges
    assert config.oom_score_adj == 0
    assert [(limit.type, limit.soft, limit.hard) for limit in config.rlimits] == [(15, 0, 2**64 - 1)]
    assert config.capabilities is not None
    assert (config.capabilities.ambient, config.capabilities.bounding) == (1 << 40, 0)
    assert config.scheduler is not None
    assert (config.scheduler.policy, config.scheduler.nice, config.scheduler.flags) == (3, 5, 1)
    assert config.io_priority is not None
    assert config.io_priority.value == 3 << 13 | 7


def test_absent_and_empty_differ_where_it_matters() -> None:
    config = convert()
    assert config.process is not None
    assert config.process.umask is None
    assert config.oom_score_adj is None
    assert config.capabilities is None
    assert convert(process__capabilities={}).capabilities is not None
    assert config.seccomp is None
    assert config.personality is None
    assert convert(linux__personality={"domain": "LINUX"}).personality == 0


def test_console_size_is_ignored_without_a_terminal() -> None:
    process = convert(process__consoleSize={"height": 24, "width": 80}).process
    assert process is not None
    assert (process.console_height, process.console_width) == (0, 0)


@pytest.mark.parametrize("fstype", ["none", "bind", "nosuchfs", None])
def test_a_bind_mount_is_made_by_its_option(fstype: str | None) -> None:
    entry = {"destination": "/d", "source": "data", "options": ["rbind", "ro"]}
    if fstype is not None:
        entry["type"] = fstype
    (mount,) = convert(mounts=[entry]).mounts
    assert (mount.fstype, mount.source, mount.flags) == ("bind", "/bundle/data", 0x5001)


def test_type_bind_alone_is_no_bind_mount() -> None:
    (mount,) = convert(mounts=[{"destination": "/d", "source": "/s", "type": "bind"}]).mounts
    assert (mount.fstype, mount.flags) == ("bind", 0)


def test_memory_policy() -> None:
    flags = ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"]
    entry = {"mode": "MPOL_PREFERRED_MANY", "nodes": "0-1", "flags": flags}
    assert convert(linux__memoryPolicy=entry).memory_policy == MemoryPolicy(mode=5, flags=0xA000, nodes="0-1")
    assert convert(linux__memoryPolicy={"mode": "MPOL_LOCAL"}).memory_policy == MemoryPolicy(mode=4)
    assert convert().memory_policy is None


def test_an_id_mapped_mount() -> None:
    line = {"containerID": 1, "hostID": 2, "size": 3}
    other = {"containerID": 4, "hostID": 5, "size": 6}
    maps = {"uidMappings": [line], "gidMappings": [other]}

    def idmap(*options: str, **members: Any) -> MountIDMap | None:
        entry = {"destination": "/d", "source": "/s", "options": ["rbind", *options], **members}
        return convert(mounts=[entry]).mounts[0].idmap

    uid, gid = IDMap(container_id=1, host_id=2, size=3), IDMap(container_id=4, host_id=5, size=6)
    own = MountIDMap(uid_mappings=[uid], gid_mappings=[gid])
    assert idmap() is None
    assert idmap(**maps) == idmap("idmap", **maps) == own
    assert idmap("ridmap", **maps) == own.replace(recursive=True)
    assert idmap("idmap") == MountIDMap()
    assert idmap("ridmap") == MountIDMap(recursive=True)


def test_a_mount_keeps_its_parts() -> None:
    entry = {
        "destination": "/d",
        "type": "tmpfs",
        "source": "x",
        "options": ["noexec", "exec", "rslave", "rro", "size=1k"],
    }
    (mount,) = convert(mounts=[entry]).mounts
    assert (mount.source, mount.fstype, mount.data) == ("x", "tmpfs", "size=1k")
    assert (mount.flags, mount.cleared_flags) == (0, 8)
    assert (mount.propagation_flags, mount.rec_attr_set) == ([0x84000], 1)


def test_namespaces() -> None:
    config = convert(linux={"namespaces": [{"type": "network", "path": "/n"}, {"type": "mount"}]})
    assert config.namespaces == [Namespace(type="net", path="/n"), Namespace(type="mnt")]


def test_devices_are_the_default_ones_and_the_listed_ones() -> None:
    listed = [
        {"type": "u", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 5, "gid": 6},
        {"type": "p", "path": "/f", "major": 9, "fileMode": 0o010666},
        {"type": "c", "path": "/dev/ptmx", "major": 5, "minor": 2},
    ]
    config = convert(linux__devices=listed)
    paths = [device.path for device in config.devices]
    assert paths == ["/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/null", "/f"]
    null, fifo = config.devices[-2:]
    assert (null.type, null.major, null.minor, null.mode, null.uid, null.gid) == ("c", 1, 3, 0o600, 5, 6)
    assert (fifo.type, fifo.major, fifo.mode) == ("p", 0, 0o666)
    assert {device.mode for device in config.devices[:5]} == {0o666}


def rules(*entries: dict[str, Any], **more: Any) -> list[DeviceRule]:
    return convert(linux__resources={"devices": list(entries)}, **more).cgroups.resources.devices


def verdict(listed: list[DeviceRule], type: str, major: int, minor: int, access: str) -> bool:
    """Whether the last rule about this access allows it."""
    allowed = True
    for rule in listed:
        numbers = rule.major in (None, major) and rule.minor in (None, minor)
        if rule.type in ("a", type) and numbers and access in rule.access:
            allowed = rule.allow
    return allowed


DENY_ALL = {"allow": False, "access": "rwm"}


def test_no_device_rules_means_no_filter() -> None:
    assert convert().cgroups.resources.devices == []
    assert rules() == []


def test_deny_all_keeps_the_default_devices() -> None:
    listed = rules(DENY_ALL)
    assert listed[0] == DeviceRule(allow=False)
    assert sum(not rule.allow for rule in listed) == 1
    for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 7), (10, 200)):
        assert verdict(listed, "c", major, minor, "r"), (major, minor)
    assert verdict(listed, "b", 8, 0, "m")
    assert not verdict(listed, "b", 8, 0, "r")
    assert not verdict(listed, "c", 1, 11, "r")


def test_device_rules_apply_in_order() -> None:
    kmsg = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    assert verdict(rules(DENY_ALL, kmsg), "c", 1, 11, "r")
    assert not verdict(rules(DENY_ALL, kmsg), "c", 1, 11, "w")
    assert not verdict(rules(kmsg, DENY_ALL), "c", 1, 11, "r")
    full = {"allow": False, "type": "c", "major": 1, "minor": 7, "access": "w"}
    listed = rules({"allow": True}, full)
    assert not verdict(listed, "c", 1, 7, "w")
    assert verdict(listed, "c", 1, 7, "r")
    assert verdict(listed, "b", 8, 0, "w")


def test_a_list_of_allowed_devices_denies_the_rest() -> None:
    listed = rules({"allow": True, "type": "c", "major": 1, "minor": 11})
    assert verdict(listed, "c", 1, 11, "w")
    assert not verdict(listed, "b", 8, 0, "r")


def test_a_rule_for_all_types_with_numbers_is_split() -> None:
    listed = rules(DENY_ALL, {"allow": True, "type": "a", "major": 8, "minor": -1, "access": "wr"})
    assert listed[-2:] == [
        DeviceRule(allow=True, type="b", major=8, access="rw"),
        DeviceRule(allow=True, type="c", major=8, access="rw"),
    ]


def test_a_redefined_default_device_gets_no_rule() -> None:
    listed = rules(DENY_ALL, linux__devices=[{"type": "c", "path": "/dev/null", "major": 1, "minor": 3}])
    assert not verdict(listed, "c", 1, 3, "r")
    assert verdict(listed, "c", 1, 5, "r")


def test_resources() -> None:
    resources = convert(
        linux__resources={
            "memory": {"limit": 64, "swap": -1, "reservation": 0, "swappiness": 0, "disableOOMKiller": False},
            "cpu": {"shares": 0, "quota": -1, "period": 100, "burst": 0, "cpus": "0", "mems": "", "idle": 0},
            "pids": {"limit": 0},
            "unified": {"memory.high": "1"},
        }
    ).cgroups.resources
    assert (resources.memory_limit, resources.memory_swap, resources.memory_reservation) == (64, -1, None)
    assert (resources.memory_swappiness, resources.memory_disable_oom_killer) == (0, False)
    assert (resources.cpu_shares, resources.cpu_quota, resources.cpu_period) == (None, -1, 100)
    assert (resources.cpu_burst, resources.cpu_idle) == (0, 0)
    assert (resources.cpuset_cpus, resources.cpuset_mems) == ("0", None)
    assert resources.pids_limit == 0
    assert resources.unified == {"memory.high": "1"}


def test_resources_with_devices_and_names() -> None:
    disk = {"major": 8, "minor": 16}
    resources = convert(
        linux__resources={
            "memory": {"kernel": 5, "kernelTCP": 6, "useHierarchy": False},
            "blockIO": {
                "weight": 10,
                "leafWeight": 0,
                "weightDevice": [disk | {"weight": 20, "leafWeight": 30}, disk | {"weight": 40, "leafWeight": 0}],
                "throttleReadBpsDevice": [disk | {"rate": 1}],
                "throttleWriteBpsDevice": [disk | {"rate": 2}],
                "throttleReadIOPSDevice": [disk | {"rate": 3}],
                "throttleWriteIOPSDevice": [disk | {"rate": 0}],
            },
            "hugepageLimits": [{"pageSize": "1GB", "limit": 0}],
            "network": {"classID": 7, "priorities": [{"name": "lo", "priority": 0}]},
            "rdma": {"mlx5_1": {"hcaHandles": 8}, "mlx4_0": {"hcaObjects": 0}},
        }
    ).cgroups.resources
    assert (resources.memory_kernel, resources.memory_kernel_tcp, resources.memory_use_hierarchy) == (5, 6, False)
    assert (resources.blkio_weight, resources.blkio_leaf_weight) == (10, None)
    weights = [(entry.major, entry.minor, entry.weight, entry.leaf_weight) for entry in resources.blkio_weight_devices]
    assert weights == [(8, 16, 20, 30), (8, 16, 40, None)]
    throttles = (
        resources.blkio_read_bps, resources.blkio_write_bps, resources.blkio_read_iops, resources.blkio_write_iops,
    )  # fmt: skip
    assert [[(entry.major, entry.minor, entry.rate) for entry in entries] for entries in throttles] == [
        [(8, 16, rate)] for rate in (1, 2, 3, 0)
    ]
    assert [(entry.page_size, entry.limit) for entry in resources.hugepage_limits] == [("1GB", 0)]
    assert (resources.net_class_id, [(entry.name, entry.priority) for entry in resources.net_priorities]) == (
        7, [("lo", 0)],
    )  # fmt: skip
    assert {name: (entry.hca_handles, entry.hca_objects) for name, entry in resources.rdma.items()} == {
        "mlx5_1": (8, None), "mlx4_0": (None, 0),
    }  # fmt: skip
    assert resources.blocks() == {"memory", "blkio", "hugepage", "net", "rdma"}
    assert convert().cgroups.resources.blocks() == set()


def test_cgroups_path() -> None:
    assert convert(linux__cgroupsPath="/a/b").cgroups.path == "/a/b"
    assert convert(linux__cgroupsPath="").cgroups.path is None


def test_hooks() -> None:
    hook = {"path": "/h", "args": ["a"], "env": ["B=1"], "timeout": 2**62}
    hooks = convert(hooks={"createRuntime": [hook], "poststop": [{"path": "/p"}]}).hooks
    (first,) = hooks.create_runtime
    assert (first.path, first.args, first.env) == ("/h", ["a"], ["B=1"])
    assert first.timeout == 2**31 - 1
    assert (hooks.poststop[0].args, hooks.poststop[0].timeout) == ([], None)
    assert hooks.prestart == []


def test_seccomp() -> None:
    condition = {"index": 5, "value": 2**64 - 1, "op": "SCMP_CMP_EQ"}
    profile = convert(
        linux__seccomp={
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_TRACE", "errnoRet": 0, "args": [condition]}],
        }
    ).seccomp
    assert profile is not None
    assert (profile.default_action, profile.default_errno, profile.flags) == ("SCMP_ACT_ERRNO", 38, None)
    rule = profile.syscalls[0]
    assert (rule.names, rule.action, rule.errno) == (["read", "write"], "SCMP_ACT_TRACE", 0)
    assert (rule.args[0].index, rule.args[0].value, rule.args[0].value_two) == (5, 2**64 - 1, 0)


def test_sysctl_keys_get_dots() -> None:
    config = convert(linux__sysctl={"net/ipv4/conf/eth0.1/forwarding": "1", "net.core.x": "2"})
    assert config.sysctl == {"net.ipv4.conf.eth0/1.forwarding": "1", "net.core.x": "2"}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("private", 0x40000),
        ("shared", 0x100000),
        ("slave", 0x80000),
        ("unbindable", 0x20000),
        ("rshared", 0x104000),
        ("rslave", 0x84000),
        ("rprivate", 0x44000),
    ],
)
def test_rootfs_propagation(name: str, flags: int) -> None:
    assert convert(linux__rootfsPropagation=name).rootfs_propagation == flags


def test_member_order_carries_no_meaning() -> None:
    document = plain()
    document["hostname"] = "h"
    shuffled = dict(reversed(document.items()))
    assert parse_config(text(shuffled), "/b") == parse_config(text(document), "/b")
