"""Container paths stay in the container: an image full of symlinks gets nothing created, mounted or read outside."""

from __future__ import annotations

import os

import pytest
from executor_driver import Operation, run
from plans import MS_NODEV, MS_NOEXEC, MS_NOSUID, S_IFCHR, container, device, filesystems

pytestmark = pytest.mark.root


@pytest.fixture
def victim(tmp_path: os.PathLike[str]) -> str:
    """A host directory that an image's symlinks point to; it must stay as it is."""
    path = os.path.join(tmp_path, "victim")
    os.makedirs(os.path.join(path, "pts"))
    with open(os.path.join(path, "ptmx"), "w") as file:
        file.write("host")
    return path


def tree(path: str) -> dict[str, tuple[int, int]]:
    found = {}
    for directory, folders, files in os.walk(path):
        for name in folders + files:
            full = os.path.join(directory, name)
            found[full] = (os.lstat(full).st_mode, os.lstat(full).st_ctime_ns)
    return found


def links_to(victim: str, rootfs: str) -> list[str]:
    """Symlink texts that name the host directory from rootfs/dev: absolute, and climbing."""
    return [victim, os.path.relpath(victim, rootfs), "../" * 40 + victim.lstrip("/")]


DEVICES: list[Operation] = [
    ("mkdir", "/dev/made/deeper", 0o755),
    ("mknod", "/dev/null", S_IFCHR | 0o666, device(1, 3), 0, 0),
    ("mknod", "/dev/pipe", 0o010000 | 0o600, 0, 0, 0),
    ("symlink", "pts/ptmx", "/dev/ptmx", 1),
    ("symlink", "/proc/self/fd", "/dev/fd", 0),
    ("bind_device", "/dev/zero", "/dev/zero"),
    ("bind", "/etc", "/dev/etc", 0),
    ("bind", "/etc/passwd", "/dev/sub/passwd", 0),
    ("mount", "tmpfs", "/dev/shm", "tmpfs", MS_NOSUID, "size=64k", 0),
]


@pytest.mark.parametrize("form", [0, 1, 2], ids=["absolute", "relative", "climbing"])
def test_a_dev_symlink_leads_nowhere_outside(executor: list[str], rootfs: str, victim: str, form: int) -> None:
    """CVE-2026-41579, CVE-2019-18837: devices, symlinks and mounts under a /dev that points to the host."""
    text = links_to(victim, rootfs)[form]
    os.rmdir(os.path.join(rootfs, "dev"))
    os.symlink(text, os.path.join(rootfs, "dev"))
    before = tree(victim)
    plan = container(rootfs, ["probe", "list", "/dev/"], mounts=filesystems()[:1], before=DEVICES)
    outcome = run(executor, plan)
    assert tree(victim) == before
    assert set(outcome.value()) == {"made", "null", "pipe", "ptmx", "fd", "zero", "etc", "sub", "shm"}


def test_dotdot_stops_at_the_root(executor: list[str], rootfs: str, victim: str) -> None:
    before = tree(victim)
    climb = "/tmp/../../../../" + os.path.relpath(victim, "/")
    plan = container(
        rootfs, ["probe", "list", victim], before=[("mkdir", climb, 0o755), ("mkdir", f"{climb}/../victim/x", 0o700)]
    )
    assert run(executor, plan).value() == ["x"]
    assert tree(victim) == before


def test_a_dangling_symlink_is_followed_inside(executor: list[str], rootfs: str) -> None:
    os.symlink("/var/run", os.path.join(rootfs, "run"))
    os.symlink("../made/by/link", os.path.join(rootfs, "etc", "link"))
    binds: list[Operation] = [("bind", "/etc", "/run/etc", 0), ("bind", "/etc/passwd", "/etc/link", 0)]
    plan = container(rootfs, ["probe", "stat", "/var/run/etc", "--", "stat", "/made/by/link"], before=binds)
    outcome = run(executor, plan)
    assert [outcome.value(0)["type"], outcome.value(1)["type"]] == ["d", "f"]
    assert outcome.value(1)["ino"] == os.stat("/etc/passwd").st_ino


def test_a_symlink_loop_is_refused(executor: list[str], rootfs: str) -> None:
    os.symlink("b", os.path.join(rootfs, "a"))
    os.symlink("a", os.path.join(rootfs, "b"))
    index, error, _ = run(executor, container(rootfs, ["probe"], before=[("mkdir", "/a/x", 0o755)])).error
    assert (index, error) == (11, "ELOOP")


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("text", ["/elsewhere", "elsewhere", "../elsewhere"])
def test_proc_and_sysfs_want_a_real_directory(executor: list[str], rootfs: str, name: str, text: str) -> None:
    """CVE-2019-19921, CVE-2023-27561: where they are must not be the image's choice."""
    os.mkdir(os.path.join(rootfs, "elsewhere"))
    os.rmdir(os.path.join(rootfs, name))
    os.symlink(text, os.path.join(rootfs, name))
    kind = {"proc": "proc", "sys": "sysfs"}[name]
    mounts: list[Operation] = [("mount", kind, f"/{name}", kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, "", 1)]
    outcome = run(executor, container(rootfs, ["probe"], mounts=mounts))
    assert outcome.error == (6, "ELOOP", f"/{name} is a symlink")


def test_a_symlink_in_the_middle_is_refused_too(executor: list[str], rootfs: str) -> None:
    os.symlink("tmp", os.path.join(rootfs, "link"))
    mounts: list[Operation] = [("mount", "proc", "/link/proc", "proc", 0, "", 1)]
    assert run(executor, container(rootfs, ["probe"], mounts=mounts)).error == (6, "ELOOP", "/link is a symlink")
    assert os.listdir(os.path.join(rootfs, "tmp")) == []


def test_parents_are_made_with_their_modes(executor: list[str], rootfs: str) -> None:
    plan = container(
        rootfs,
        ["probe", "stat", "/a", "--", "stat", "/a/b", "--", "stat", "/c"],
        before=[("mkdir", "/a/b", 0o1777), ("bind", "/etc/passwd", "/c", 0)],
    )
    outcome = run(executor, plan, umask=0o077)
    assert [oct(outcome.value(index)["mode"] & 0o7777) for index in (0, 1)] == ["0o755", "0o1777"]
    assert os.stat(os.path.join(rootfs, "c")).st_mode & 0o7777 == 0o644


def test_a_file_in_the_way(executor: list[str], rootfs: str) -> None:
    with open(os.path.join(rootfs, "file"), "w"):
        pass
    assert run(executor, container(rootfs, ["probe"], before=[("mkdir", "/file/x", 0o755)])).error[1] == "ENOTDIR"


@pytest.mark.parametrize("target", ["/", "/.", "/tmp/..", "//"])
def test_nothing_is_mounted_on_the_root_itself(executor: list[str], rootfs: str, target: str) -> None:
    for mount in [
        ("mount", "tmpfs", target, "tmpfs", 0, "", 0),
        ("bind", "/etc", target, 0),
        ("copy_up", target, 0, ""),
    ]:
        outcome = run(executor, container(rootfs, ["probe"], before=[mount]))
        assert outcome.error == (11, "EINVAL", "the target is the root itself")


def test_a_path_that_leads_elsewhere_once_it_is_mounted_on(
    executor: list[str], rootfs: str, tmp_path: os.PathLike[str]
) -> None:
    """What a race would do, without the race: the new mount changes where its own path leads."""
    source = os.path.join(tmp_path, "source")
    os.makedirs(source)
    os.symlink("/tmp", os.path.join(source, "link"))
    os.mkdir(os.path.join(rootfs, "x"))
    os.symlink(".", os.path.join(rootfs, "x", "link"))
    changed = "the target changed while it was mounted on"
    plan = container(rootfs, ["probe"], before=[("bind", source, "/x/link", 0)])
    assert run(executor, plan).error == (11, "EXDEV", changed)
    plan = container(rootfs, ["probe"], before=[("mount", "tmpfs", "/x/link", "tmpfs", 0, "", 0)])
    assert run(executor, plan).error[:2] == (11, "ENOENT")


@pytest.mark.parametrize("path", ["/dev/..", "/dev/.", "/", ""])
def test_a_node_needs_a_name(executor: list[str], rootfs: str, path: str) -> None:
    outcome = run(executor, container(rootfs, ["probe"], before=[("symlink", "x", path, 1)]))
    assert outcome.error[:2] == (11, "EINVAL")
