"""Masked and read-only paths, sysctl, the null device: what /proc and /dev let through."""

from __future__ import annotations

import os

import pytest
from executor_driver import Operation, Outcome, run
from plans import MS_NOSUID, NEWIPC, NEWNET, NEWNS, NEWPID, NEWUTS, S_IFCHR, container, device, filesystems

pytestmark = pytest.mark.root


def inside(executor: list[str], rootfs: str, after: list[Operation], *verbs: str, **options: object) -> Outcome:
    args = ["probe", *" -- ".join(verbs or ("print x",)).split()]
    return run(executor, container(rootfs, args, after=after, **options))  # type: ignore[arg-type]


def failure(executor: list[str], plan: list[Operation], name: str) -> tuple[str, str]:
    """(errno, detail) of the plan's failure, which must be that of the operation `name`."""
    index, error, detail = run(executor, plan).error
    assert plan[index][0] == name
    return error, detail


def test_a_masked_file_reads_as_nothing(executor: list[str], rootfs: str) -> None:
    with open(os.path.join(rootfs, "etc", "secret"), "w") as file:
        file.write("secret")
    rows: list[Operation] = [("mask", "/etc/secret"), ("mask", "/proc/version")]
    outcome = inside(executor, rootfs, rows, "stat /etc/secret", "stat /proc/version", "read /proc/version")
    for index in (0, 1):
        stat = outcome.value(index)
        assert (stat["type"], stat["major"], stat["minor"]) == ("c", 1, 3)
    assert outcome.value(2) == ""


def test_masked_directories_are_empty_and_readonly(executor: list[str], rootfs: str) -> None:
    names = ["/etc", "/sys", "/tmp"]
    with open(os.path.join(rootfs, "etc", "secret"), "w"):
        pass
    os.mkdir(os.path.join(rootfs, "etc", "d"))
    verbs = [
        f"{verb} {name}{suffix}" for name in names for verb, suffix in (("list", ""), ("touch", "/x"), ("mkdir", "/y"))
    ]
    outcome = inside(executor, rootfs, [("mask", name) for name in names], *verbs, "report")
    for index in range(0, 9, 3):
        assert outcome.value(index) == []
        assert {line["errno"] for line in outcome.lines[index + 1 : index + 3]} == {"EROFS"}
    # One superblock serves all (runc 5275).
    found = [m for m in outcome.lines[-1]["mounts"] if m["target"] in names]
    assert len(found) == 3
    stats = inside(executor, rootfs, [("mask", name) for name in names], *[f"stat {name}" for name in names])
    assert len({stats.value(index)["dev"] for index in range(3)}) == 1


def test_a_missing_masked_path_is_fine_and_a_file_in_the_way_is_not(executor: list[str], rootfs: str) -> None:
    assert inside(executor, rootfs, [("mask", "/proc/no/such"), ("readonly", "/proc/no/such")]).value() is not None
    for name in ("mask", "readonly"):
        plan = container(rootfs, ["probe"], after=[(name, "/bin/probe/x")])
        assert failure(executor, plan, name)[0] == "ENOTDIR"


@pytest.mark.parametrize("kind", ["symlink", "file", "zero", "missing"])
def test_a_false_null_device_masks_nothing(executor: list[str], rootfs: str, kind: str) -> None:
    """CVE-2025-31133: an image's dev/null that is something else."""
    null = os.path.join(rootfs, "dev", "null")
    if kind == "symlink":
        os.symlink("/proc/sys/kernel/core_pattern", null)
    elif kind == "file":
        with open(null, "w"):
            pass
    elif kind == "zero":
        os.mknod(null, S_IFCHR | 0o666, os.makedev(1, 5))
    for row in [("mask", "/proc/version"), ("null_stdio",)]:
        plan = container(rootfs, ["probe"], mounts=filesystems()[:1], after=[row])
        error, detail = failure(executor, plan, row[0])
        assert error == ("ENOENT" if kind == "missing" else "ENODEV")
        assert "/dev/null" in detail


def test_mask_covers_submounts_that_are_symlinked_to(executor: list[str], rootfs: str) -> None:
    """A masked path through an image's symlink hides what it leads to, inside."""
    os.symlink("/etc", os.path.join(rootfs, "link"))
    outcome = inside(executor, rootfs, [("mask", "/link")], "touch /etc/x")
    assert outcome.lines[0]["errno"] == "EROFS"


def test_readonly_paths(executor: list[str], rootfs: str) -> None:
    with open(os.path.join(rootfs, "etc", "file"), "w"):
        pass
    before: list[Operation] = [
        ("mount", "tmpfs", "/t", "tmpfs", MS_NOSUID, "", 0),
        ("mount", "tmpfs", "/t/sub", "tmpfs", 0, "", 0),
    ]
    rows: list[Operation] = [("readonly", path) for path in ("/t", "/etc/file", "/proc/sys", "/proc/sysrq-trigger")]
    verbs = ["touch /t/x", "touch /t/sub/x", "write /etc/file x", "write /proc/sys/kernel/domainname x", "report"]
    outcome = inside(executor, rootfs, rows, *verbs, before=before)
    assert [line["errno"] for line in outcome.lines[:4]] == ["EROFS", None, "EROFS", "EROFS"]
    (mount,) = [m for m in outcome.lines[4]["mounts"] if m["target"] == "/t" and "ro" in str(m["options"])]
    assert "nosuid" in str(mount["options"])


@pytest.mark.parametrize("key", ["kernel.msgmax", "kernel/msgmax"])
def test_sysctl(executor: list[str], rootfs: str, key: str) -> None:
    outcome = inside(executor, rootfs, [("sysctl", key, "4242")], "read /proc/sys/kernel/msgmax")
    assert outcome.value().strip() == "4242"


@pytest.mark.parametrize("key", ["net.ipv4.conf.lo.forwarding", "net/ipv4/conf/lo/forwarding"])
def test_sysctl_of_a_network_namespace(executor: list[str], rootfs: str, key: str) -> None:
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    rows: list[Operation] = [("loopback_up",), ("sysctl", key, "1")]
    outcome = inside(executor, rootfs, rows, "read /proc/sys/net/ipv4/conf/lo/forwarding", "report", flags=flags)
    assert outcome.value(0).strip() == "1"
    assert [(i["name"], i["up"]) for i in outcome.lines[1]["interfaces"] if i["name"] == "lo"] == [("lo", True)]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("../self/oom_score_adj", "EINVAL"),
        ("kernel/../../self/comm", "EINVAL"),
        ("/kernel/msgmax", "EINVAL"),
        ("kernel//msgmax", "EINVAL"),
        ("kernel..msgmax", "EINVAL"),
        ("", "EINVAL"),
        ("no.such.key", "ENOENT"),
        ("kernel.version", "EACCES"),
    ],
)
def test_bad_sysctl_keys(executor: list[str], rootfs: str, key: str, error: str) -> None:
    plan = container(rootfs, ["probe"], after=[("sysctl", key, "1")])
    # Some procfs files answer a write with EPERM or EIO; this list has none of them.
    assert failure(executor, plan, "sysctl")[0] == error


def test_sysctl_wants_a_procfs(executor: list[str], rootfs: str) -> None:
    """CVE-2025-52881: a directory that looks like /proc is not written to."""
    key = os.path.join(rootfs, "proc", "sys", "kernel")
    os.makedirs(key)
    with open(os.path.join(key, "msgmax"), "w") as file:
        file.write("untouched")
    plan = container(rootfs, ["probe"], mounts=filesystems()[1:], after=[("sysctl", "kernel.msgmax", "1")])
    assert failure(executor, plan, "sysctl") == ("EXDEV", "/proc is not a procfs")
    with open(os.path.join(key, "msgmax")) as file:
        assert file.read() == "untouched"


def test_sysctl_sees_what_is_mounted_over_it(executor: list[str], rootfs: str) -> None:
    """A read-only cover of /proc/sys is another mount: nothing is written through it."""
    plan = container(rootfs, ["probe"], after=[("mask", "/proc/sys"), ("sysctl", "kernel.msgmax", "1")])
    assert failure(executor, plan, "sysctl")[0] == "EXDEV"


def test_devices(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("mknod", "/dev/deep/er/zero", S_IFCHR | 0o4640, device(1, 5), 12, 34),
        ("mknod", "/dev/fifo", 0o010000 | 0o622, 0, 0, 0),
        ("mknod", "/dev/null", S_IFCHR | 0o600, device(1, 3), 5, 5),  # exists: kept
        ("symlink", "/elsewhere", "/dev/link", 0),
        ("symlink", "/other", "/dev/link", 0),
        ("symlink", "/replaced", "/dev/second", 0),
        ("symlink", "/replacing", "/dev/second", 1),
    ]
    verbs = ["stat /dev/deep/er/zero", "stat /dev/fifo", "stat /dev/null", "readlink /dev/link", "readlink /dev/second"]
    outcome = run(executor, container(rootfs, ["probe", *" -- ".join(verbs).split()], before=rows), umask=0o077)
    zero, fifo, null = (outcome.value(index) for index in range(3))
    assert (zero["type"], zero["major"], zero["minor"], oct(zero["mode"])) == ("c", 1, 5, "0o4640")
    assert (zero["uid"], zero["gid"]) == (12, 34)
    assert (fifo["type"], oct(fifo["mode"])) == ("p", "0o622")
    assert (oct(null["mode"]), null["uid"]) == ("0o666", 0)
    assert (outcome.value(3), outcome.value(4)) == ("/elsewhere", "/replacing")


def test_a_node_of_another_kind_is_not_kept(executor: list[str], rootfs: str) -> None:
    for row in [
        ("mknod", "/dev/null", S_IFCHR | 0o666, device(1, 5), 0, 0),
        ("mknod", "/dev/ptmx", S_IFCHR | 0o666, device(5, 2), 0, 0),
    ]:
        assert failure(executor, container(rootfs, ["probe"], before=[row]), "mknod")[0] == "EEXIST"
    for mode in (0o666, 0o040755, 0o120777, 0o140777):
        row = ("mknod", "/dev/x", mode, 0, 0, 0)
        assert failure(executor, container(rootfs, ["probe"], before=[row]), "mknod")[0] == "EINVAL"
