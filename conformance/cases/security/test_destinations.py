"""Mount points that an image, a volume or a neighbour turns into links: nothing is made, mounted or shown outside."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.security.hostile import DEV, TEXT, attempt, entries, victim
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.native import syscall

pytestmark = needs("root")

FORMS = ["absolute", "climbing"]
RENAMEAT2, RENAME_EXCHANGE, AT_FDCWD = 316, 2, -100  # x86-64; renameat2(2)


def link_text(path: str, form: str) -> str:
    """A link's text that leads to a path of the host, if it is not resolved in the container."""
    return path if form == "absolute" else "../" * 12 + path[1:]


def volume(bundle: Bundle) -> str:
    """A directory of ours that is bound to /vol before everything else is mounted: containers share it."""
    path = bundle.outside("volume")
    os.mkdir(path)
    bundle.directory("vol")
    bundle.mount("/vol", "bind", path, "bind")
    return path


@pytest.mark.parametrize("form", FORMS)
@covers("config/mounts/4")
def test_link_in_a_volume(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """Mount points lie below a link that another container left in a shared volume: a directory, a file and a deep one
    (CVE-2019-18837, CVE-2021-30465, CVE-2024-45310 without their races)."""
    runtime.prove_sane()
    path = victim(bundle)
    source = victim(bundle, "source")
    os.symlink(link_text(path, form), os.path.join(volume(bundle), "link"))
    bundle.mount("/vol/link/directory", "tmpfs", "tmpfs")
    bundle.mount("/vol/link/file", "bind", source + "/kept", "bind")
    bundle.mount("/vol/link/a/b/c", "bind", source, "rbind")
    before = entries(path)
    attempt(runtime, bundle)
    assert entries(path) == before


@pytest.mark.parametrize("form", FORMS)
@covers("config/mounts/4")
def test_mount_point_is_a_dangling_link(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """What a runtime makes to mount a file on is made in the container, not where a link of the image leads
    (CVE-2025-24965, CVE-2024-45310)."""
    runtime.prove_sane()
    path = victim(bundle)
    source = victim(bundle, "source")
    bundle.symlink(link_text(path + "/made", form), "etc/resolv.conf")
    bundle.symlink(link_text(path + "/below", form), "run/secrets")
    bundle.mount("/etc/resolv.conf", "bind", source + "/kept", "bind")
    bundle.mount("/run/secrets", "tmpfs", "tmpfs")
    before = entries(path)
    attempt(runtime, bundle)
    assert entries(path) == before


@pytest.mark.parametrize("form", FORMS)
@covers("config-linux/default-devices/1", "config-linux/default-devices/8")
def test_devices_with_a_tmpfs_on_the_link(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """/dev of the image is a link and the config mounts a tmpfs there: neither the mount nor the devices go to the
    host (CVE-2026-41579, CVE-2026-47766)."""
    runtime.prove_sane()
    path = victim(bundle)
    with open(os.path.join(path, "ptmx"), "w", encoding="ascii") as file:
        file.write(TEXT)
    os.rmdir(os.path.join(bundle.rootfs, "dev"))
    bundle.symlink(link_text(path, form), "dev")
    before = entries(path)
    attempt(runtime, bundle)
    assert entries(path) == before


@covers("config-linux/default-devices/1", "config-linux/devices/1")
def test_devices_below_a_link(runtime: Runtime, bundle: Bundle) -> None:
    """A device of the config lies below a linked directory of the image (CVE-2026-41579)."""
    runtime.prove_sane()
    path = victim(bundle)
    for destination in DEV:
        bundle.without_mount(destination)
    bundle.symlink(path, "dev/net")
    bundle.symlink(path + "/node", "dev/node")
    bundle.linux["devices"] = [
        {"path": "/dev/net/tun", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0},
        {"path": "/dev/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0},
    ]
    before = entries(path)
    attempt(runtime, bundle)
    assert entries(path) == before


@contextlib.contextmanager
def exchanging(one: str, other: str) -> Iterator[None]:
    """A neighbour that exchanges two names all the time."""
    child = os.fork()
    if child == 0:
        try:
            names = [bytearray(os.fsencode(name) + b"\0") for name in (one, other)]
            exchange(names)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def exchange(names: list[bytearray]) -> None:
    """Exchange two names until somebody ends this process."""
    import ctypes

    first, second = (ctypes.addressof(ctypes.c_char.from_buffer(name)) for name in names)
    while True:
        syscall.syscall(RENAMEAT2, AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE)


@needs("smp")
@covers("config/mounts/4")
def test_neighbour_exchanges_a_directory_and_a_link(runtime: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    """Another container of a shared volume swaps a directory for a link while mounts are made below it
    (CVE-2021-30465, CVE-2024-45310).  A few tries: the links of the other cases show what does not depend on luck."""
    runtime.prove_sane()
    bundle = make_bundle()
    path = victim(bundle)
    shared = volume(bundle)
    os.mkdir(shared + "/place")
    os.symlink(path, shared + "/trap")
    for number in range(12):
        bundle.mount(f"/vol/place/m{number}/deep", "tmpfs", "tmpfs")
    before = entries(path)
    bundle.probe("list /vol/place", report=False)
    with exchanging(shared + "/place", shared + "/trap"):
        for _ in range(4):
            result = runtime.run(bundle, check=False)
            assert not result.crashed, result.describe()
            assert "kept" not in result.stdout
            assert entries(path) == before
