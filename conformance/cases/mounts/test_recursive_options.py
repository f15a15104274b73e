"""config.md#linux-mount-options: options that reach submounts, and propagation, in effect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.bundle import Bundle
from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver import Runtime
from seatrial.conformance.probe import Report
from seatrial.native import mount_api as native

Reader = Callable[..., Report]
ROW = "config/linux-mount-options/"
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOSYMFOLLOW = 1, 2, 4, 8, 32, 256
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_PRIVATE, MS_SHARED = 1024, 2048, 4096, 1 << 18, 1 << 20
MS_STRICTATIME = 1 << 24


@pytest.fixture
def tree(bundle: Bundle) -> Iterator[Callable[[int], str]]:
    """Makes a host tree of two mounts, the inner one with the given flags; unmounted afterwards."""
    outer = bundle.outside("tree")
    inner = outer + "/inner"
    mounted = []

    def make(flags: int = 0, propagation: int = MS_PRIVATE) -> str:
        os.mkdir(outer)
        native.mount("tmpfs", outer, "tmpfs", 0, "")
        mounted.append(outer)
        native.mount("none", outer, None, propagation, None)
        os.mkdir(inner)
        native.mount("tmpfs", inner, "tmpfs", 0, "")
        mounted.append(inner)
        if flags:  # of the mount, not of the filesystem: those could not be cleared through another mount
            native.mount("none", inner, None, MS_REMOUNT | MS_BIND | flags, None)
        native.mount("none", inner, None, propagation, None)
        return outer

    yield make
    for path in reversed(mounted):
        native.umount(path, 2)  # MNT_DETACH


def option(name: str, present: str = "", absent: str = "", inner: int = 0, kernel: str = "kernel>=5.12") -> object:
    """An rbind of the tree with `name` shows the words on both mounts; the inner one had the flags `inner`."""
    marks = [covers(ROW + name), needs("root", kernel)]
    return pytest.param(name, set(present.split()), set(absent.split()), inner, marks=marks, id=name)


OPTIONS = [
    option("ratime", absent="noatime", inner=MS_NOATIME),
    option("rdev", absent="nodev", inner=MS_NODEV),
    option("rdiratime", absent="nodiratime", inner=MS_NODIRATIME),
    option("rexec", absent="noexec", inner=MS_NOEXEC),
    option("rnoatime", "noatime"),
    option("rnodiratime", "nodiratime"),
    option("rnoexec", "noexec"),
    option("rnorelatime", absent="noatime"),
    option("rnostrictatime", "relatime", inner=MS_STRICTATIME),
    option("rnosuid", "nosuid"),
    option("rnosymfollow", "nosymfollow", kernel="kernel>=5.14"),
    option("rrelatime", "relatime", inner=MS_NOATIME),
    option("rro", "ro"),
    option("rrw", "rw", "ro", inner=MS_RDONLY),
    option("rstrictatime", absent="relatime noatime"),
    option("rsuid", absent="nosuid", inner=MS_NOSUID),
    option("rsymfollow", absent="nosymfollow", inner=MS_NOSYMFOLLOW, kernel="kernel>=5.14"),
]


@pytest.mark.parametrize(("name", "present", "absent", "inner"), OPTIONS)
def test_recursive_option(
    bundle: Bundle,
    report: Reader,
    tree: Callable[[int], str],
    name: str,
    present: set[str],
    absent: set[str],
    inner: int,
) -> None:
    """The option holds for the mount and its submounts (config.md#linux-mount-options)."""
    bundle.mount("/mnt", "bind", tree(inner), "rbind", name)
    found = report(bundle)
    for target in ("/mnt", "/mnt/inner"):
        shown = found.mount_options(target)
        assert present - shown == set(), target
        assert absent & shown == set(), target


@needs("root", "kernel>=5.12")
@pytest.mark.parametrize("name", [pytest.param("rro", marks=covers(ROW + "rro")),
                                  pytest.param("rrw", marks=covers(ROW + "rrw"))])
def test_writing_below_a_recursive_mount(
    bundle: Bundle, report: Reader, tree: Callable[[int], str], name: str
) -> None:
    """With rro nothing can be written on either level, with rrw on both (config.md#linux-mount-options)."""
    bundle.mount("/mnt", "bind", tree(MS_RDONLY if name == "rrw" else 0), "rbind", name)
    found = report(bundle.probe("touch /mnt/x -- touch /mnt/inner/x"))
    assert [verb.errno for verb in found.verbs] == (["EROFS"] * 2 if name == "rro" else [None] * 2)


@needs("root")
@covers(ROW + "ro")
def test_ro_does_not_reach_submounts(bundle: Bundle, report: Reader, tree: Callable[[], str]) -> None:
    """ro of an rbind holds for the mount itself only (config.md#linux-mount-options)."""
    bundle.mount("/mnt", "bind", tree(), "rbind", "ro")
    found = report(bundle.probe("touch /mnt/x -- touch /mnt/inner/x"))
    assert [verb.errno for verb in found.verbs] == ["EROFS", None]


@needs("root")
@pytest.mark.parametrize("name", [pytest.param("bind", marks=covers(ROW + "bind")),
                                  pytest.param("rbind", marks=covers(ROW + "rbind"))])
def test_submounts_of_a_bind(bundle: Bundle, report: Reader, tree: Callable[[], str], name: str) -> None:
    """bind leaves submounts out, rbind takes them along (config.md#linux-mount-options)."""
    outer = tree()
    with open(outer + "/inner/marker", "w", encoding="utf-8") as file:
        file.write("inner")
    bundle.mount("/mnt", "bind", outer, name)
    verb = report(bundle.probe("read /mnt/inner/marker")).verbs[0]
    assert verb.errno == (None if name == "rbind" else "ENOENT")


def words(found: Report, target: str) -> set[str]:
    """The propagation of a mount, without the peer group's number: shared, master, unbindable."""
    return {word.split(":")[0] for word in found.mount(target)["propagation"]}


PROPAGATION = {
    "private": (MS_SHARED, set()),
    "shared": (MS_PRIVATE, {"shared"}),
    "slave": (MS_SHARED, {"master"}),
    "unbindable": (MS_PRIVATE, {"unbindable"}),
}


@needs("root")
@pytest.mark.parametrize("name", [pytest.param(name, marks=covers(ROW + name)) for name in PROPAGATION])
def test_propagation(bundle: Bundle, report: Reader, tree: Callable[[int, int], str], name: str) -> None:
    """The mount has the propagation asked for (config.md#linux-mount-options)."""
    before, after = PROPAGATION[name]
    bundle.mount("/mnt", "bind", tree(0, before), "bind", name)
    assert words(report(bundle), "/mnt") - {"propagate_from"} == after


@needs("root")
@pytest.mark.parametrize("name", [pytest.param(name, marks=covers(f"{ROW}r{name}")) for name in PROPAGATION])
def test_recursive_propagation(bundle: Bundle, report: Reader, tree: Callable[[int, int], str], name: str) -> None:
    """The mount and its submounts have the propagation asked for (config.md#linux-mount-options)."""
    before, after = PROPAGATION[name]
    bundle.mount("/mnt", "bind", tree(0, before), "rbind", f"r{name}")
    found = report(bundle)
    for target in ("/mnt", "/mnt/inner"):
        assert words(found, target) - {"propagate_from"} == after, target


@needs("root")
@covers(ROW + "rslave", ROW + "slave")
def test_host_mount_reaches_a_slave(runtime: Runtime, bundle: Bundle, tree: Callable[[int, int], str]) -> None:
    """A mount that the host makes later below the source shows up inside (config.md#linux-mount-options)."""
    outer = tree(0, MS_SHARED)
    os.mkdir(outer + "/later")
    bundle.mount("/mnt", "bind", outer, "rbind", "rslave")
    bundle.linux["rootfsPropagation"] = "rslave"
    container = runtime.create(bundle.probe("hold", report=False))
    native.mount("tmpfs", outer + "/later", "tmpfs", 0, "")
    try:
        with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
            targets = [line.split()[4] for line in file]
    finally:
        native.umount(outer + "/later", 2)
    assert "/mnt/later" in targets


@needs("root")
@covers(ROW + "unbindable")
def test_unbindable_mount_cannot_be_bound(bundle: Bundle, report: Reader, tree: Callable[[], str]) -> None:
    """A bind mount of an unbindable mount gives EINVAL (config.md#linux-mount-options)."""
    bundle.capabilities("CAP_SYS_ADMIN")
    bundle.mount("/mnt", "bind", tree(), "bind", "unbindable")
    bundle.directory("other")
    assert report(bundle.probe("mount /mnt /other none bind ''")).verbs[0].errno == "EINVAL"
