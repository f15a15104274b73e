"""How mounts, devices and the root become operations."""

from __future__ import annotations

import os

import pytest
from plan_configs import compiled, config, lines, mount, names

from seatrial.runtime.config import Config, Device, IDMap, Mount, MountIDMap, Namespace
from seatrial.runtime.plan.devices import makedev
from seatrial.runtime.plan.environment import CgroupHierarchy

RO, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000
UNBINDABLE, PRIVATE, SLAVE, SHARED = 0x20000, 0x40000, 0x80000, 0x100000
MOUNTING = ("mount", "bind", "remount", "mount_attr", "propagate", "copy_up", "pivot_root")


def steps(*mounts: Mount, **fields: object) -> list[str]:
    return lines(compiled(config(mounts=list(mounts), **fields)), *MOUNTING)


def test_bind_without_flags_keeps_those_of_the_source() -> None:
    assert steps(mount("/m", "bind", "/src", BIND)) == ["bind /src on /m", "pivot_root"]


def test_bind_with_flags_takes_a_second_step() -> None:
    assert steps(mount("/m", "bind", "/src", BIND | REC | RO | NODEV)) == [
        "bind /src on /m (recursive)",
        "remount /m (ro,nodev)",
        "pivot_root",
    ]


def test_bind_with_a_cleared_flag_takes_a_second_step() -> None:
    assert steps(mount("/m", "bind", "/src", BIND, cleared_flags=RO)) == [
        "bind /src on /m",
        "remount /m (no flags, clear ro)",
        "pivot_root",
    ]


def test_propagation_follows_the_mount_in_order_and_attributes_come_last() -> None:
    one = mount("/m", "bind", "/src", BIND | REC | RO, propagation_flags=[SLAVE | REC, SHARED], rec_attr_set=1)
    assert steps(one) == [
        "bind /src on /m (recursive)",
        "remount /m (ro)",
        "set propagation of /m (rec,slave)",
        "set propagation of /m (shared)",
        "set mount attributes of /m (set ro, recursive)",
        "pivot_root",
    ]


def test_an_id_mapped_bind_mount_is_made_by_the_parent() -> None:
    maps = MountIDMap(
        uid_mappings=[IDMap(container_id=0, host_id=1000, size=2), IDMap(container_id=5, host_id=9, size=1)],
        gid_mappings=[IDMap(container_id=0, host_id=3, size=4)],
    )
    mounts = [
        mount("/own", "bind", "/src", BIND | REC | RO, idmap=maps, propagation_flags=[SHARED]),
        mount("/container", "bind", "/src", BIND, idmap=MountIDMap(recursive=True), rec_attr_set=8),
    ]
    plan = compiled(config(mounts=mounts))
    assert lines(plan, "bind_mapped", "remount", "propagate", "mount_attr") == [
        "bind /src on /own (recursive, id-mapped: u 0 1000 2 5 9 1; g 0 3 4)",
        "remount /own (ro)",
        "set propagation of /own (shared)",
        "bind /src on /container (id-mapped with all below it: as the container)",
        "set mount attributes of /container (set noexec, recursive)",
    ]
    assert plan.operations[names(plan).index("bind_mapped")].values[3:] == ("0 1000 2\n5 9 1\n", "0 3 4\n", 0)


@pytest.mark.parametrize("fstype", ["proc", "sysfs", "mqueue", "devpts", "ext4"])
def test_only_proc_and_sysfs_want_a_real_directory(fstype: str) -> None:
    plan = compiled(config(mounts=[mount("/m", fstype, "src", NOEXEC, "a=b")]))
    mode = 1 if fstype in ("proc", "sysfs") else 0
    assert [op.values for op in plan.operations if op.name == "mount"] == [("src", "/m", fstype, NOEXEC, "a=b", mode)]


def test_mount_without_a_source_has_its_type_as_source() -> None:
    assert steps(mount("/m", "tmpfs"))[0] == "mount tmpfs on /m (type tmpfs)"


def test_read_only_tmpfs_and_dev_become_read_only_after_the_root_changed() -> None:
    mounts = mount("/t", "tmpfs", "t", RO | NOSUID), mount("/dev", "devtmpfs", "d", RO), mount("/s", "sysfs", "s", RO)
    assert steps(*mounts) == [
        "mount t on /t (type tmpfs, nosuid)",
        "mount d on /dev (type devtmpfs)",
        "mount s on /s (type sysfs, ro)",
        "pivot_root",
        "remount /t (ro,nosuid)",
        "remount /dev (ro)",
    ]


def test_recursively_read_only_tmpfs_waits_too() -> None:
    assert steps(mount("/t", "tmpfs", "t", rec_attr_set=1), mount("/u", "tmpfs", "u", rec_attr_set=8)) == [
        "mount t on /t (type tmpfs)",
        "mount u on /u (type tmpfs)",
        "set mount attributes of /u (set noexec, recursive)",
        "pivot_root",
        "set mount attributes of /t (set ro, recursive)",
    ]


def test_remount_changes_the_filesystem_and_not_only_the_mount() -> None:
    assert steps(mount("/m", "tmpfs", "m", REMOUNT | NODEV, "size=1m", cleared_flags=NOEXEC)) == [
        "remount /m (nodev, clear noexec, size=1m, the filesystem itself)",
        "pivot_root",
    ]


def test_copy_up() -> None:
    assert steps(mount("/etc", "tmpfs", "t", RO | NODEV, "mode=755", copy_up=True)) == [
        "mount tmpfs with a copy of the content on /etc (nodev, mode=755)",
        "pivot_root",
        "remount /etc (ro,nodev)",
    ]


def test_read_only_root_comes_after_the_working_directory_was_made() -> None:
    plan = lines(compiled(config(readonlyfs=True)), "mkdir", "remount")
    assert plan == ["create directory /home (mode 0755)", "remount / (ro)"]


@pytest.mark.parametrize(
    ("wanted", "host", "cut", "last"),
    [
        (0, "rec,slave", True, None),
        (SLAVE, "rec,slave", False, None),
        (SLAVE | REC, "rec,slave", False, None),
        (PRIVATE, "rec,private", True, None),
        (SHARED, "shared", True, "shared"),
        (SHARED | REC, "rec,shared", True, "rec,shared"),
        (UNBINDABLE, "rec,private", True, "unbindable"),
    ],
)
def test_root_propagation(wanted: int, host: str, cut: bool, last: str | None) -> None:
    plan = compiled(config(rootfs_propagation=wanted, mask_paths=["/m"], readonly_paths=["/r"]))
    expected = [f"set propagation of host / ({host})"]
    expected += ["make the mount that holds /b/rootfs private"] * cut
    expected += ["open root /b/rootfs (bind mount on itself)", "pivot_root", "make /r read-only", "mask /m"]
    expected += [f"set propagation of / ({last})"] * (last is not None)
    about = ("propagation", "parent_private", "open_root", "pivot_root", "readonly", "mask", "propagate")
    assert lines(plan, *about) == expected


def test_without_a_mount_namespace_the_host_sees_no_mount() -> None:
    plan = lines(compiled(config("pid", rootfs_propagation=SHARED)), *MOUNTING, "propagation", "open_root", "chroot")
    assert plan == ["open root /b/rootfs", "chroot into the root"]


def test_no_pivot() -> None:
    plan = compiled(config(no_pivot_root=True))
    assert lines(plan, "pivot_root", "move_root", "chroot") == ["move the root to / and chroot"]


def test_joined_mount_namespace_gets_the_mounts() -> None:
    joined = config(namespaces=[Namespace(type="mnt", path="/run/ns")], mounts=[mount("/m", "tmpfs")])
    plan = compiled(joined, namespace_fds={"mnt": 7})
    assert lines(plan, *MOUNTING) == ["mount tmpfs on /m (type tmpfs)", "pivot_root"]


# -- /dev --------------------------------------------------------------------------------------------------------------

DEV = ("mknod", "bind_device", "symlink", "null_stdio")


def test_default_devices_and_symlinks() -> None:
    assert lines(compiled(config(), kcore=True), *DEV) == [
        "create character device /dev/null (1:3, mode 0666, owner 0:0)",
        "create character device /dev/zero (1:5, mode 0666, owner 0:0)",
        "create character device /dev/full (1:7, mode 0666, owner 0:0)",
        "create character device /dev/random (1:8, mode 0666, owner 0:0)",
        "create character device /dev/urandom (1:9, mode 0666, owner 0:0)",
        "create character device /dev/tty (5:0, mode 0666, owner 0:0)",
        "create symlink /dev/fd (to /proc/self/fd)",
        "create symlink /dev/stdin (to /proc/self/fd/0)",
        "create symlink /dev/stdout (to /proc/self/fd/1)",
        "create symlink /dev/stderr (to /proc/self/fd/2)",
        "create symlink /dev/core (to /proc/kcore)",
        "create symlink /dev/ptmx (to pts/ptmx, replacing)",
        "reopen /dev/null on stdio",
    ]


def test_bind_mounted_dev_is_left_alone() -> None:
    assert lines(compiled(config(mounts=[mount("/dev", "bind", "/dev", BIND | REC)])), *DEV) == []


def test_bind_mount_below_dev_is_no_reason_to_leave_dev_alone() -> None:
    assert lines(compiled(config(mounts=[mount("/dev/null", "bind", "/dev/null", BIND)])), "null_stdio")


DEVICES = [
    Device(path="/dev/mem0", type="c", major=1, minor=3, mode=0o600, uid=1, gid=2),
    Device(path="/dev/loop9", type="b", major=7, minor=9),
    Device(path="/run/pipe", type="p"),
    Device(path="/dev/ptmx", type="c", major=5, minor=2),
]


def test_configured_devices() -> None:
    assert lines(compiled(config(devices=DEVICES)), "mknod") == [
        "create character device /dev/mem0 (1:3, mode 0600, owner 1:2)",
        "create block device /dev/loop9 (7:9, mode 0666, owner 0:0)",
        "create fifo /run/pipe (mode 0666, owner 0:0)",
    ]


def test_user_namespace_binds_devices_from_where_the_host_has_them() -> None:
    expected = [
        "bind device /dev/null on /dev/mem0",
        "bind device /dev/loop9 on /dev/loop9",
        "create fifo /run/pipe (mode 0666, owner 0:0)",
    ]
    assert lines(compiled(config("user", "mnt", devices=DEVICES)), "mknod", "bind_device") == expected
    nested = compiled(config(devices=DEVICES), in_user_namespace=True)
    assert lines(nested, "mknod", "bind_device") == expected


@pytest.mark.parametrize(("major", "minor"), [(1, 3), (0, 0), (4095, 1048575), (8, 300), (259, 65536)])
def test_device_numbers_are_those_of_libc(major: int, minor: int) -> None:
    assert makedev(major, minor) == os.makedev(major, minor)


# -- cgroup mounts -----------------------------------------------------------------------------------------------------

HIERARCHIES = [
    CgroupHierarchy(name="cpu,cpuacct", options="cpu,cpuacct", path="/sys/fs/cgroup/cpu,cpuacct/c1"),
    CgroupHierarchy(name="systemd", options="none,name=systemd", path="/sys/fs/cgroup/systemd/c1"),
]


def cgroup_steps(config: Config, **environment: object) -> list[str]:
    return lines(compiled(config, **environment), "mount", "bind", "remount", "symlink")[:-5]  # /dev's five at the end


def test_cgroup_v1_with_a_namespace_mounts_every_hierarchy() -> None:
    one = config("mnt", "cgroup", mounts=[mount("/sys/fs/cgroup", "cgroup", "cgroup", RO | NOSUID)])
    assert cgroup_steps(one, cgroup_hierarchies=HIERARCHIES) == [
        "mount tmpfs on /sys/fs/cgroup (type tmpfs, nosuid,nodev,noexec, mode=755)",
        "mount cgroup on /sys/fs/cgroup/cpu,cpuacct (type cgroup, ro,nosuid,nodev,noexec, cpu,cpuacct)",
        "mount cgroup on /sys/fs/cgroup/systemd (type cgroup, ro,nosuid,nodev,noexec, none,name=systemd)",
        "create symlink /sys/fs/cgroup/cpu (to cpu,cpuacct)",
        "create symlink /sys/fs/cgroup/cpuacct (to cpu,cpuacct)",
        "remount /sys/fs/cgroup (ro,nosuid,nodev,noexec)",
    ]


def test_cgroup_v1_without_a_namespace_binds_only_the_containers_own_directories() -> None:
    one = config("mnt", mounts=[mount("/cg", "cgroup", "cgroup", 0)])
    assert cgroup_steps(one, cgroup_hierarchies=HIERARCHIES[1:]) == [
        "mount tmpfs on /cg (type tmpfs, nosuid,nodev,noexec, mode=755)",
        "bind /sys/fs/cgroup/systemd/c1 on /cg/systemd",
        "remount /cg/systemd (nosuid,nodev,noexec)",
    ]


def test_cgroup_v2_mounts_the_hierarchy_with_the_source_of_the_config() -> None:
    one = config("mnt", "cgroup", mounts=[mount("/cg", "cgroup", "mine", RO)])
    assert cgroup_steps(one, cgroup_version=2) == ["mount mine on /cg (type cgroup2, ro)"]


def test_cgroup_v2_in_a_user_namespace_without_a_cgroup_namespace_is_bound() -> None:
    one = config("user", "mnt", mounts=[mount("/cg", "cgroup", "mine", RO | NOSUID)])
    assert cgroup_steps(one, cgroup_version=2) == ["bind /sys/fs/cgroup on /cg (recursive)", "remount /cg (ro,nosuid)"]
