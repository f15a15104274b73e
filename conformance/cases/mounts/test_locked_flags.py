"""Bind mounts of sources whose own mount has flags: asked for, cleared, and locked by a user namespace
(mount_namespaces(7))."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.native import mount_api as native

pytestmark = needs("root")

Reader = Callable[..., Report]
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
LOCKED = {"nosuid", "nodev", "noexec"}


@pytest.fixture
def source(bundle: Bundle) -> Iterator[str]:
    """A tmpfs of the host, mounted nosuid, nodev and noexec."""
    path = bundle.outside("source")
    os.mkdir(path)
    native.mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0777")
    yield path
    native.umount(path, 2)  # MNT_DETACH


@profile("runc-compat")
@needs("userns")
@covers("config/linux-mount-options/ro", "config/linux-mount-options/noexec", "config/linux-mount-options/bind")
def test_locked_flags_stay(bundle: Bundle, report: Reader, source: str) -> None:
    """In a user namespace the flags of the source are locked: mounts that ask for less get what they ask for, and
    keep what is locked."""
    bundle.user_namespace()
    wanted = {"/a": ["bind"], "/b": ["bind", "ro"], "/c": ["rbind", "ro", "noexec"], "/d": ["bind", "nosuid", "nodev"]}
    for target, options in wanted.items():
        bundle.mount(target, "bind", source, *options)
    found = report(bundle)
    for target, options in wanted.items():
        shown = found.mount_options(target)
        assert shown >= LOCKED, target
        assert ("ro" in shown) is ("ro" in options), target


@covers("config/linux-mount-options/suid", "config/linux-mount-options/dev", "config/linux-mount-options/exec")
def test_flags_can_be_cleared(bundle: Bundle, report: Reader, source: str) -> None:
    """suid, dev and exec hold for a bind mount although the source is mounted without (runc 3967)."""
    wanted = {
        "/a": ["bind", "suid"],
        "/b": ["bind", "dev"],
        "/c": ["bind", "exec"],
        "/d": ["bind", "suid", "dev", "exec"],
    }
    for target, options in wanted.items():
        bundle.mount(target, "bind", source, *options)
    found = report(bundle)
    for target, options in wanted.items():
        assert {f"no{word}" for word in options} & found.mount_options(target) == set(), target


@profile("runc-compat")
@covers("config/linux-mount-options/unknown", "config/linux-mount-options/bind")
def test_data_of_a_bind_mount_is_refused(runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]) -> None:
    """A bind mount has no filesystem that could take `size=1m`: since 1.2 runc says so, in place of ignoring it."""
    source = bundle.outside("plain")
    os.mkdir(source)
    rejected(runtime, bundle.mount("/mnt", "bind", source, "bind", "size=1m"))


@covers("config/root/7", "config/linux-mount-options/ro")
@needs("userns")
def test_readonly_root_on_a_restricted_filesystem(runtime: Runtime, bundle: Bundle) -> None:
    """root.readonly in a user namespace, with a rootfs on a filesystem mounted nosuid and nodev: it is read-only, and
    these flags stay (youki 3536)."""
    place = bundle.outside("place")
    os.mkdir(place)
    native.mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    try:
        shutil.copytree(bundle.rootfs, place + "/rootfs", symlinks=True)
        os.chmod(place + "/rootfs" + PROBE, 0o755)
        bundle.config["root"] = {"path": place + "/rootfs", "readonly": True}
        bundle.user_namespace()
        for directory, _, files in os.walk(place):
            for name in ("", *files):
                os.lchown(os.path.join(directory, name), 100000, 100000)
        container = runtime.create(bundle.probe("hold", report=False))
        with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
            shown = {line.split()[4]: set(line.split()[5].split(",")) for line in file}["/"]
        assert shown >= {"ro", "nosuid", "nodev"}
        container.delete(force=True)
    finally:
        native.umount(place, 2)  # MNT_DETACH
