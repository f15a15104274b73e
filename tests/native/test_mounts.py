"""What each mount operation leaves in the container, read back from inside."""

from __future__ import annotations

import os
from typing import Any

import pytest
from executor_driver import Drive, Operation, Outcome, run
from plans import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    NEWIPC,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    S_IFCHR,
    container,
    device,
    into,
    program,
)

from seatrial.native import operations as table

pytestmark = pytest.mark.root

FIRST = 11  # index of the first operation of `before` in a container's plan


def probe(executor: list[str], rootfs: str, before: list[Operation], *verbs: str, **options: Any) -> Outcome:
    """Run a container with these operations before the root changes, and verbs "read /x" in it."""
    args = ["probe", *" -- ".join(verbs or ("report",)).split()]
    return run(executor, container(rootfs, args, before=before, **options))


def mounts(outcome: Outcome, target: str) -> list[dict[str, Any]]:
    return [mount for mount in outcome.lines[0]["mounts"] if mount["target"] == target]


def options(outcome: Outcome, target: str) -> set[str]:
    found = mounts(outcome, target)[-1]["options"]
    return set(found.split(",") if isinstance(found, str) else found)


def test_mount_flags_and_data(executor: list[str], rootfs: str) -> None:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY | 1024  # MS_NOATIME
    outcome = probe(executor, rootfs, [("mount", "name", "/t", "tmpfs", flags, "size=4k,,nr_inodes=7,mode=0711", 0)])
    (mount,) = mounts(outcome, "/t")
    assert options(outcome, "/t") == {"ro", "nosuid", "nodev", "noexec", "noatime"}
    assert (mount["fstype"], mount["source"]) == ("tmpfs", "name")
    found = mount["super_options"]
    assert {"ro", "size=4k", "nr_inodes=7", "mode=711"} <= set(found.split(",") if isinstance(found, str) else found)


@pytest.mark.parametrize("data", ["nonsense=1", "size=many", "size=\\1"])
def test_bad_data_is_an_error(executor: list[str], rootfs: str, data: str) -> None:
    outcome = probe(executor, rootfs, [("mount", "tmpfs", "/t", "tmpfs", 0, data, 0)])
    assert outcome.error[:2] == (FIRST, "EINVAL")


def test_the_filesystem_explains_itself(new_kernel: list[str], rootfs: str) -> None:
    outcome = probe(new_kernel, rootfs, [("mount", "tmpfs", "/t", "tmpfs", 0, "size=many", 0)])
    assert outcome.error == (FIRST, "EINVAL", "tmpfs: Bad value for 'size'")


def test_an_unknown_filesystem(executor: list[str], rootfs: str) -> None:
    outcome = probe(executor, rootfs, [("mount", "x", "/t", "nosuchfs", 0, "", 0)])
    assert outcome.error[:2] == (FIRST, "ENODEV")


def test_long_options_reach_the_filesystem(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    """fsconfig(2) takes 255 bytes a value; an overlay's lowerdir is longer."""
    lower = [os.path.join(tmp_path, "lower" + "x" * 150 + str(n)) for n in range(3)]
    for path in lower:
        os.mkdir(path)
        with open(os.path.join(path, "file"), "w") as file:
            file.write(path[-1])
    data = "lowerdir=" + ":".join(reversed(lower))
    outcome = probe(executor, rootfs, [("mount", "overlay", "/o", "overlay", 0, data, 0)], "read /o/file")
    assert outcome.value() == "2"


def test_flags_of_other_calls_are_refused(executor: list[str], rootfs: str) -> None:
    for flag in (MS_BIND, MS_REC, MS_SHARED, MS_SLAVE, 32, 8192, 1 << 40):
        for row in [("mount", "x", "/t", "tmpfs", flag, "", 0), ("copy_up", "/t", flag, "")]:
            assert probe(executor, rootfs, [row]).error[:2] == (FIRST, "EINVAL")
    assert probe(executor, rootfs, [("propagate", "/dev", MS_RDONLY)]).error[:2] == (FIRST, "EINVAL")
    assert probe(executor, rootfs, [("remount", "/dev", MS_SHARED, 0, "", 1)]).error[:2] == (FIRST, "EINVAL")


def test_tmpfs_has_the_mode_that_it_covers(executor: list[str], rootfs: str) -> None:
    """runc 3916, 3952: sticky too; a mode= wins; a missing directory means the kernel's 1777."""
    os.chmod(os.path.join(rootfs, "tmp"), 0o3751)
    os.mkdir(os.path.join(rootfs, "named"), 0o700)
    tmpfs: list[Operation] = [
        ("mount", "tmpfs", path, "tmpfs", 0, data, 0)
        for path, data in (("/tmp", ""), ("/named", "mode=0711"), ("/new", ""))
    ]
    outcome = probe(executor, rootfs, tmpfs, "stat /tmp", "stat /named", "stat /new")
    assert [oct(outcome.value(index)["mode"] & 0o7777) for index in range(3)] == ["0o3751", "0o711", "0o1777"]


def test_bind_makes_what_its_source_is(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    source = os.path.join(tmp_path, "source")
    os.mkdir(source)
    with open(os.path.join(source, "file"), "w") as file:
        file.write("content")
    binds: list[Operation] = [("bind", source, "/a/b", 0), ("bind", f"{source}/file", "/c/d", 0)]
    outcome = probe(executor, rootfs, binds, "read /a/b/file", "read /c/d")
    assert [outcome.value(0), outcome.value(1)] == ["content", "content"]


@pytest.mark.parametrize("name", ["bind", "bind_device"])
def test_a_missing_source_leaves_no_target(executor: list[str], rootfs: str, name: str) -> None:
    for source in ("/nonexistent/source", ""):
        row: Operation = (name, source, "/target", 0) if name == "bind" else (name, source, "/target")
        assert probe(executor, rootfs, [row]).error[:2] == (FIRST, "ENOENT")
    assert not os.path.lexists(os.path.join(rootfs, "target"))


def test_bind_recursive_or_not(executor: list[str], rootfs: str) -> None:
    inner: list[Operation] = [
        ("mount", "tmpfs", "/a/inner", "tmpfs", 0, "", 0),
        ("mkdir", "/a/inner/x", 0o755),
        ("bind_inside", "/a", "/flat", 0),
        ("bind_inside", "/a", "/deep", 1),
    ]
    outcome = probe(executor, rootfs, inner, "list /flat/inner", "list /deep/inner")
    assert [outcome.value(0), outcome.value(1)] == [[], ["x"]]


def test_a_device_bind_takes_devices_only(executor: list[str], rootfs: str) -> None:
    assert probe(executor, rootfs, [("bind_device", "/etc/passwd", "/dev/x")]).error[:2] == (FIRST, "ENODEV")
    stat = probe(executor, rootfs, [("bind_device", "/dev/zero", "/dev/zero")], "stat /dev/zero").value()
    assert (stat["type"], stat["major"], stat["minor"]) == ("c", 1, 5)


@pytest.mark.parametrize(
    "target", ["/proc", "/proc/sys", "/proc/self/attr", "/proc/1", "/proc/net/dev", "/via/sys/kernel"]
)
def test_proc_is_not_covered(executor: list[str], rootfs: str, target: str) -> None:
    """CVE-2019-16884, CVE-2025-52881: not by name and not through an image's symlink."""
    os.symlink("proc", os.path.join(rootfs, "via"))
    for row in [("mount", "tmpfs", target, "tmpfs", 0, "", 0), ("bind", "/etc", target, 0)]:
        index, error, detail = probe(executor, rootfs, [row]).error
        assert (index, error) == (FIRST, "EPERM")
        assert "/proc" in detail


def test_files_of_proc_that_may_be_covered(executor: list[str], rootfs: str) -> None:
    binds: list[Operation] = [
        ("bind", "/etc/passwd", path, 0) for path in ("/proc/cpuinfo", "/proc/uptime", "/proc/sys/kernel/ns_last_pid")
    ]
    outcome = probe(executor, rootfs, binds, "stat /proc/cpuinfo", "stat /proc/sys/kernel/ns_last_pid")
    assert outcome.value(0)["ino"] == outcome.value(1)["ino"] == os.stat("/etc/passwd").st_ino


def test_the_host_proc_may_be_bound_on_proc(executor: list[str], rootfs: str) -> None:
    outcome = probe(executor, rootfs, [("bind", "/proc", "/proc", 1)], "report")
    assert len(mounts(outcome, "/proc")) == 2


def test_remount_sets_exactly_these_flags(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("mount", "tmpfs", "/t", "tmpfs", MS_NOSUID | MS_NOEXEC | 1024, "", 0),
        ("bind_inside", "/t", "/a", 0),
        ("remount", "/a", MS_RDONLY | MS_NODEV, MS_NOSUID, "", 1),
    ]
    outcome = probe(executor, rootfs, rows)
    assert options(outcome, "/t") == {"rw", "nosuid", "noexec", "noatime"}
    assert options(outcome, "/a") == {"ro", "nodev", "noatime"}


def test_remount_of_the_filesystem(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("mount", "tmpfs", "/t", "tmpfs", 0, "size=8k", 0),
        ("remount", "/t", MS_RDONLY, 0, "size=16k", 0),
    ]
    found = mounts(probe(executor, rootfs, rows), "/t")[0]["super_options"]
    assert {"ro", "size=16k"} <= set(found.split(",") if isinstance(found, str) else found)


def test_a_readonly_root(executor: list[str], rootfs: str) -> None:
    plan = container(
        rootfs,
        ["probe", *"touch /x -- touch /dev/x -- touch /dev/shm/x".split()],
        before=[("mount", "tmpfs", "/dev/shm", "tmpfs", 0, "", 0)],
        after=[("remount", "/", MS_RDONLY, 0, "", 1), ("remount", "/dev", MS_RDONLY | MS_NOSUID, 0, "", 1)],
    )
    lines = run(executor, plan).lines
    assert [line["errno"] for line in lines] == ["EROFS", "EROFS", None]


def test_recursive_attributes(new_kernel: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("mount", "tmpfs", "/a", "tmpfs", 0, "", 0),
        ("mount", "tmpfs", "/a/b", "tmpfs", 0, "", 0),
        ("mount_attr", "/a", 1 | 8, 0, 1),
        ("mount_attr", "/a", 0, 8, 0),
    ]
    outcome = probe(new_kernel, rootfs, rows)
    assert options(outcome, "/a") == {"ro", "relatime"}
    assert options(outcome, "/a/b") == {"ro", "noexec", "relatime"}


@pytest.mark.parametrize(
    ("flags", "expected"), [(MS_SHARED, "shared"), (MS_PRIVATE, ""), (MS_SLAVE, ""), (1 << 17, "unbindable")]
)
def test_propagation_inside(executor: list[str], rootfs: str, flags: int, expected: str) -> None:
    rows: list[Operation] = [("mount", "tmpfs", "/t", "tmpfs", 0, "", 0), ("propagate", "/t", flags)]
    (mount,) = mounts(probe(executor, rootfs, rows), "/t")
    assert expected in "".join(mount["propagation"])
    assert bool(mount["propagation"]) == bool(expected)


def test_a_target_on_the_way_of_a_second_mount(executor: list[str], rootfs: str) -> None:
    """Mounts stack: the second one lands on the first, and remount changes the upper one."""
    rows: list[Operation] = [
        ("mount", "lower", "/t", "tmpfs", 0, "", 0),
        ("mount", "upper", "/t", "tmpfs", 0, "", 0),
        ("remount", "/t", MS_RDONLY, 0, "", 1),
    ]
    found = mounts(probe(executor, rootfs, rows), "/t")
    assert [mount["source"] for mount in found] == ["lower", "upper"]
    assert ["ro" in str(mount["options"]) for mount in found] == [False, True]


def test_copy_up(executor: list[str], rootfs: str) -> None:
    """runc 3991: modes survive whatever the umask is; owners, links, devices and times as well."""
    top = os.path.join(rootfs, "data")
    os.makedirs(os.path.join(top, "sub", "deep"))
    with open(os.path.join(top, "sub", "file"), "wb") as file:
        file.write(b"x" * 300_000)
    os.symlink("sub/file", os.path.join(top, "link"))
    os.mkfifo(os.path.join(top, "fifo"))
    os.chmod(top, 0o2750)
    os.chown(top, 7, 8)
    os.chmod(os.path.join(top, "sub"), 0o1755)
    os.chown(os.path.join(top, "sub", "file"), 1000, 1001)
    os.chmod(os.path.join(top, "sub", "file"), 0o4755)
    os.utime(os.path.join(top, "sub", "file"), ns=(1_000_000_007, 2_000_000_009))
    rows: list[Operation] = [("copy_up", "/data", MS_NOSUID, "size=1m")]
    verbs = [
        "stat /data",
        "stat /data/sub",
        "stat /data/sub/file",
        "readlink /data/link",
        "stat /data/fifo",
        "list /data/sub",
    ]
    outcome = probe(executor, rootfs, rows, *verbs, "write /data/new text", "report")
    for index, name in enumerate(["", "sub", "sub/file"]):
        host, copy = os.stat(os.path.join(top, name)), outcome.value(index)
        assert copy["statfs"]["fstype"] == "tmpfs"
        assert (copy["mode"], copy["uid"], copy["gid"]) == (host.st_mode & 0o7777, host.st_uid, host.st_gid), name
    file_stat = outcome.value(2)
    assert (file_stat["size"], file_stat["mtime"]) == (300_000, 2_000_000_009)
    assert (outcome.value(3), outcome.value(4)["type"]) == ("sub/file", "p")
    assert set(outcome.value(5)) == {"deep", "file"}
    assert not os.path.exists(os.path.join(top, "new"))


def test_copy_up_readonly_and_missing(executor: list[str], rootfs: str) -> None:
    with open(os.path.join(rootfs, "tmp", "file"), "w"):
        pass
    rows: list[Operation] = [("copy_up", "/tmp", MS_RDONLY | MS_NOEXEC, ""), ("copy_up", "/missing", 0, "mode=0700")]
    outcome = probe(executor, rootfs, rows, "list /tmp", "touch /tmp/x", "stat /missing")
    assert outcome.value(0) == ["file"]
    assert outcome.lines[1]["errno"] == "EROFS"
    assert outcome.value(2)["mode"] & 0o7777 == 0o700


def user_container(rootfs: str, verbs: list[str], mounts: list[Operation], before: list[Operation]) -> list[Operation]:
    plan: list[Operation] = [
        ("sync", table.SYNC_CGROUP),
        ("nondumpable",),
        ("clone", NEWUSER),
        ("sync", table.SYNC_IDMAP),
    ]
    plan += [
        ("become_root", 1),
        ("clone", NEWNS | NEWPID | NEWUTS | NEWIPC),
        ("setsid",),
        *into(rootfs),
        *mounts,
        *before,
    ]
    return [*plan, ("pivot_root",), *program(["probe", *verbs])]


def run_in_user_namespace(executor: list[str], plan: list[Operation]) -> Outcome:
    drive = Drive(executor, plan)
    drive.until(table.SYNC_IDMAP)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{drive.children[-1]}/{name}", "w") as file:
            file.write("0 100000 65536")
    drive.send(table.MESSAGE_GO)
    return drive.go()


@pytest.fixture
def open_rootfs(rootfs: str) -> str:
    """A rootfs that uid 100000 can reach, though pytest's own directories are for their owner."""
    path = rootfs
    while path != "/tmp":
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    for name in ("", *os.listdir(rootfs)):
        os.chown(os.path.join(rootfs, name), 100000, 100000)
    return rootfs


USER_MOUNTS: list[Operation] = [
    ("mount", "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "", 1),
    ("mount", "tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k", 0),
    ("bind_device", "/dev/null", "/dev/null"),
]


def test_a_user_namespace(executor: list[str], open_rootfs: str) -> None:
    plan = user_container(open_rootfs, ["report"], USER_MOUNTS, [])
    report = run_in_user_namespace(executor, plan).lines[0]
    assert report["uid_map"].split() == ["0", "100000", "65536"]
    assert report["ids"]["uid"] == [0, 0, 0, 0]
    assert report["pid"] == 1
    assert report["ids"]["groups"] == []


def test_locked_flags_are_kept(executor: list[str], open_rootfs: str, tmp_path: os.PathLike[str]) -> None:
    """runc 2576, 3283: in a user namespace a bind of a nosuid,nodev source may become read-only, stays nosuid,nodev;
    asking to lose a locked flag is an error."""
    source = os.path.join(tmp_path, "source")
    os.mkdir(source, 0o755)
    os.system(f"mount -t tmpfs -o nosuid,nodev,noatime,mode=755 tmpfs {source}")
    try:
        bind: Operation = ("bind", source, "/tmp", 0)
        plan = user_container(open_rootfs, ["report"], USER_MOUNTS, [bind, ("remount", "/tmp", MS_RDONLY, 0, "", 1)])
        outcome = run_in_user_namespace(executor, plan)
        assert options(outcome, "/tmp") == {"ro", "nosuid", "nodev", "noatime"}

        for row in [("remount", "/tmp", MS_RDONLY, MS_NOSUID, "", 1), ("remount", "/tmp", 1 << 24, 0, "", 1)]:
            plan = user_container(open_rootfs, ["report"], USER_MOUNTS, [bind, row])
            index, error, detail = run_in_user_namespace(executor, plan).error
            assert (index, error, detail) == (14, "EPERM", "a flag of the source mount is locked")
    finally:
        os.system(f"umount {source}")


def test_mknod_is_refused_in_a_user_namespace(executor: list[str], open_rootfs: str) -> None:
    row: Operation = ("mknod", "/dev/zero", S_IFCHR | 0o666, device(1, 5), 0, 0)
    outcome = run_in_user_namespace(executor, user_container(open_rootfs, ["report"], USER_MOUNTS, [row]))
    assert outcome.error[:2] == (13, "EPERM")


def test_nothing_reaches_the_host(executor: list[str], rootfs: str) -> None:
    with open("/proc/self/mountinfo") as file:
        before = file.read()
    run(executor, container(rootfs, ["probe", "report"], before=[("mount", "x", "/t", "tmpfs", 0, "", 0)]))
    with open("/proc/self/mountinfo") as file:
        assert file.read() == before


def test_without_pivot_root(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    """--no-pivot (runc 1.2): no full procfs or sysfs of the host is left in the namespace, not even out of sight.

    mountinfo shows what its reader reaches, and the container cannot reach the host's mounts: a process that a hook
    leaves in the namespace, with the old root, looks.
    """
    seen = os.path.join(tmp_path, "seen")
    wait = f"while [ ! -e {rootfs}/moved ]; do sleep 0.02; done; cat <&9 >{seen}; : >{rootfs}/done"
    # Opened before the hook ends: afterwards the host's /proc is gone.
    words = ["sh", "-c", f"exec 9</proc/self/mountinfo; ({wait}) >/dev/null 2>&1 &"]
    hook: Operation = ("hook", "h", "/bin/sh", words, ["PATH=/bin:/usr/bin"], 9, b"", b"")
    args = ["probe", "touch", "/moved", "--", "wait-file", "/done", "20", "--", "list", "/"]
    plan = [("move_root",) if row[0] == "pivot_root" else row for row in container(rootfs, args, before=[hook])]
    outcome = run(executor, plan)
    assert set(outcome.value(2)) >= {"bin", "moved", "done"}
    with open(seen) as file:
        mounts_left = [line.split() for line in file]
    full = [m[4] for m in mounts_left if m[3] == "/" and m[m.index("-") + 1] in ("proc", "sysfs")]
    assert full == ["/proc"]  # the container's own
