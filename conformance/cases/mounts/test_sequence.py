"""config.md#mounts: the list from its first entry on, and what happens to a mount after it was made."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.probe import Report
from seatrial.native import mount_api

Reader = Callable[..., Report]


@covers("config/mounts/2", "config/mounts/10")
def test_a_bind_mount_may_be_the_first(bundle: Bundle, report: Reader) -> None:
    """A bind mount at the head of the list is made like any other."""
    source = bundle.outside("first")
    os.mkdir(source)
    with open(os.path.join(source, "word"), "w", encoding="ascii") as file:
        file.write("first")
    entry = {"destination": "/mnt", "type": "bind", "source": source, "options": ["bind"]}
    bundle.config["mounts"].insert(0, entry)
    found = report(bundle.probe("read /mnt/word"))
    assert found.verb("read").value == "first"


@needs("root")
@covers("config/linux-mount-options/strictatime")
def test_strictatime_of_a_bind_mount(bundle: Bundle, report: Reader) -> None:
    """A bind mount is strict about access times where its source is not."""
    bundle.mount("/mnt", "bind", bundle.directory("source"), "bind", "strictatime")
    assert not {"relatime", "noatime"} & report(bundle).mount_options("/mnt")


@needs("root")
@covers("config/linux-mount-options/relatime", "config/linux-mount-options/noatime")
def test_access_times_of_a_bind_mount_are_its_own(bundle: Bundle, report: Reader) -> None:
    """A bind mount is relatime, or noatime, where its source is the other one."""
    sources = {"noatime": bundle.outside("noatime"), "relatime": bundle.outside("relatime")}
    flags = {"noatime": 0x400, "relatime": 0x200000}  # MS_NOATIME, MS_RELATIME
    for name, path in sources.items():
        os.mkdir(path)
        mount_api.mount("tmpfs", path, "tmpfs", flags[name], None)
    try:
        bundle.mount("/mnt", "bind", sources["noatime"], "bind", "relatime")
        bundle.mount("/srv", "bind", sources["relatime"], "bind", "noatime")
        found = report(bundle)
    finally:
        for path in sources.values():
            mount_api.umount(path, mount_api.MNT_DETACH)
    atime = {"relatime", "noatime"}
    assert [atime & found.mount_options(target) for target in ("/mnt", "/srv")] == [{"relatime"}, {"noatime"}]


@needs("root")
@pytest.mark.parametrize("flags", [("ro", "strictatime"), ("strictatime",)], ids=["read-only", "writable"])
@covers("config/linux-mount-options/strictatime", "config/linux-mount-options/ro")
def test_strictatime_of_a_tmpfs(bundle: Bundle, report: Reader, flags: tuple[str, ...]) -> None:
    """strictatime holds whatever else is asked for: also where the runtime makes the mount read-only afterwards."""
    bundle.mount("/mnt", "tmpfs", "tmpfs", *flags)
    options = report(bundle).mount_options("/mnt")
    assert not {"relatime", "noatime"} & options
    assert ("ro" in options) == ("ro" in flags)
