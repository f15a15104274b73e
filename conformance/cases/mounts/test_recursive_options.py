"""config.md#linux-mount-options: options that reach submounts, and propagation, in effect."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import together
from seatrial.native import mount_api as native

Part = Generator[str | None, Report, None]
Reader = Callable[..., Report]
ROW = "config/linux-mount-options/"
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOSYMFOLLOW = 1, 2, 4, 8, 32, 256
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_PRIVATE, MS_SHARED = 1024, 2048, 4096, 1 << 18, 1 << 20
MS_STRICTATIME = 1 << 24


@contextlib.contextmanager
def tree(bundle: Bundle, flags: int = 0, propagation: int = MS_PRIVATE) -> Iterator[tuple[str, str]]:
    """A host tree of two mounts, the inner one with the given flags, until the end; and where to bind it inside."""
    path = bundle.spot()
    outer = bundle.outside("trees" + path)
    inner = outer + "/inner"
    mounted = []
    try:
        os.makedirs(outer)
        native.mount("tmpfs", outer, "tmpfs", 0, "")
        mounted.append(outer)
        native.mount("none", outer, None, propagation, None)
        os.mkdir(inner)
        native.mount("tmpfs", inner, "tmpfs", 0, "")
        mounted.append(inner)
        if flags:  # of the mount, not of the filesystem: those could not be cleared through another mount
            native.mount("none", inner, None, MS_REMOUNT | MS_BIND | flags, None)
        native.mount("none", inner, None, propagation, None)
        yield outer, path
    finally:
        for target in reversed(mounted):
            native.umount(target, 2)  # MNT_DETACH


def option(name: str, present: str = "", absent: str = "", inner: int = 0, kernel: str = "kernel>=5.12") -> object:
    """An rbind of the tree with `name` shows the words on both mounts; the inner one had the flags `inner`."""
    marks = [covers(ROW + name), needs("root", "call:mount_setattr", kernel)]
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


@together()
@pytest.mark.parametrize(("name", "present", "absent", "inner"), OPTIONS)
def test_recursive_option(bundle: Bundle, name: str, present: set[str], absent: set[str], inner: int) -> Part:
    """The option holds for the mount and its submounts (config-linux.md#linux-mount-options)."""
    with tree(bundle, inner) as (source, path):
        bundle.mount(path, "bind", source, "rbind", name)
        found = yield None
    for target in (path, f"{path}/inner"):
        shown = found.mount_options(target)
        assert present - shown == set(), target
        assert absent & shown == set(), target


@together()
@needs("root", "call:mount_setattr")
@pytest.mark.parametrize(
    "name", [pytest.param("rro", marks=covers(ROW + "rro")), pytest.param("rrw", marks=covers(ROW + "rrw"))]
)
def test_writing_below_a_recursive_mount(bundle: Bundle, name: str) -> Part:
    """With rro nothing can be written on either level, with rrw on both (config-linux.md#linux-mount-options)."""
    with tree(bundle, MS_RDONLY if name == "rrw" else 0) as (source, path):
        bundle.mount(path, "bind", source, "rbind", name)
        found = yield f"touch {path}/x -- touch {path}/inner/x"
    assert [verb.errno for verb in found.verbs] == (["EROFS"] * 2 if name == "rro" else [None] * 2)


@together()
@needs("root")
@covers(ROW + "ro")
def test_ro_does_not_reach_submounts(bundle: Bundle) -> Part:
    """ro of an rbind holds for the mount itself only (config-linux.md#linux-mount-options)."""
    with tree(bundle) as (source, path):
        bundle.mount(path, "bind", source, "rbind", "ro")
        found = yield f"touch {path}/x -- touch {path}/inner/x"
    assert [verb.errno for verb in found.verbs] == ["EROFS", None]


@together()
@needs("root")
@pytest.mark.parametrize(
    "name", [pytest.param("bind", marks=covers(ROW + "bind")), pytest.param("rbind", marks=covers(ROW + "rbind"))]
)
def test_submounts_of_a_bind(bundle: Bundle, name: str) -> Part:
    """bind leaves submounts out, rbind takes them along (config-linux.md#linux-mount-options)."""
    with tree(bundle) as (source, path):
        with open(source + "/inner/marker", "w", encoding="utf-8") as file:
            file.write("inner")
        bundle.mount(path, "bind", source, name)
        found = yield f"read {path}/inner/marker"
    assert found.verbs[0].errno == (None if name == "rbind" else "ENOENT")


def words(found: Report, target: str) -> set[str]:
    """The propagation of a mount, without the peer group's number: shared, master, unbindable."""
    return {word.split(":")[0] for word in found.mount(target)["propagation"]}


PROPAGATION = {
    "private": (MS_SHARED, set()),
    "shared": (MS_PRIVATE, {"shared"}),
    "slave": (MS_SHARED, {"master"}),
    "unbindable": (MS_PRIVATE, {"unbindable"}),
}


@together()
@needs("root")
@pytest.mark.parametrize("name", [pytest.param(name, marks=covers(ROW + name)) for name in PROPAGATION])
def test_propagation(bundle: Bundle, name: str) -> Part:
    """The mount has the propagation asked for (config-linux.md#linux-mount-options)."""
    before, after = PROPAGATION[name]
    with tree(bundle, 0, before) as (source, path):
        bundle.mount(path, "bind", source, "bind", name)
        found = yield None
    assert words(found, path) - {"propagate_from"} == after


@together()
@needs("root")
@pytest.mark.parametrize("name", [pytest.param(name, marks=covers(f"{ROW}r{name}")) for name in PROPAGATION])
def test_recursive_propagation(bundle: Bundle, name: str) -> Part:
    """The mount and its submounts have the propagation asked for (config-linux.md#linux-mount-options)."""
    before, after = PROPAGATION[name]
    with tree(bundle, 0, before) as (source, path):
        bundle.mount(path, "bind", source, "rbind", f"r{name}")
        found = yield None
    for target in (path, f"{path}/inner"):
        assert words(found, target) - {"propagate_from"} == after, target


@needs("root")
@covers(ROW + "rslave", ROW + "slave")
def test_host_mount_reaches_a_slave(runtime: Runtime, bundle: Bundle) -> None:
    """A mount that the host makes later below the source shows up inside (config-linux.md#linux-mount-options)."""
    with tree(bundle, 0, MS_SHARED) as (outer, path):
        os.mkdir(outer + "/later")
        bundle.mount(path, "bind", outer, "rbind", "rslave")
        bundle.linux["rootfsPropagation"] = "rslave"
        container = runtime.create(bundle.probe("hold", report=False))
        native.mount("tmpfs", outer + "/later", "tmpfs", 0, "")
        try:
            with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
                targets = [line.split()[4] for line in file]
        finally:
            native.umount(outer + "/later", 2)
    assert f"{path}/later" in targets


@needs("root")
@covers(ROW + "unbindable")
def test_unbindable_mount_cannot_be_bound(bundle: Bundle, report: Reader) -> None:
    """A bind mount of an unbindable mount gives EINVAL (config-linux.md#linux-mount-options)."""
    bundle.capabilities("CAP_SYS_ADMIN")
    with tree(bundle) as (source, path):
        bundle.mount(path, "bind", source, "bind", "unbindable")
        other = bundle.spot()
        found = report(bundle.probe(f"mount {path} {other} none bind ''"))
    assert found.verbs[0].errno == "EINVAL"
