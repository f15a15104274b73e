"""features-linux.md#mountextensions: who says that it has id-mapped mounts makes those that the kernel can make.

The cases of test_idmap.py are skipped for a runtime that refuses: it may lack the whole.  These are not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.features.members import find
from seatrial.conformance.cases.mounts import idmapping
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

pytestmark = needs("root", "features", "call:mount_setattr")
Reader = Callable[..., Report]
HOST = 100000
IDS = [{"containerID": 0, "hostID": 1000, "size": 10}]


@pytest.fixture
def source(runtime: Runtime, bundle: Bundle) -> str:
    """A host directory with a file of root's, on a file system that the kernel id-maps; skips where the runtime does
    not claim id-mapped mounts."""
    if not find(runtime.features(), "linux.mountExtensions.idmap.enabled"):
        pytest.skip("features: no linux.mountExtensions.idmap")
    path = bundle.outside("mapped")
    os.mkdir(path)
    with open(os.path.join(path, "file"), "w", encoding="ascii"):
        pass
    if reason := idmapping.refusal(path):
        pytest.skip(f"the kernel id-maps no mount of this file system: {reason}")
    return path


def mapped(bundle: Bundle, target: str, source: str, *options: str, **mappings: Any) -> Bundle:
    """Add an id-mapped bind mount."""
    bundle.config["ociVersion"] = "1.2.0"
    bundle.mount(target, "bind", source, "bind", *options)
    bundle.config["mounts"][-1].update({"uidMappings": IDS, "gidMappings": IDS, **mappings})
    return bundle


def owner(report: Report, path: str) -> tuple[int, int]:
    """The owner of a file, as the container sees it."""
    value = report.verb("stat", path).value
    assert value is not None, f"there is no {path}"
    return value["uid"], value["gid"]


@pytest.mark.parametrize("options", [(), ("ro", "nosuid", "noexec")], ids=["plain", "with options"])
@covers("features-linux/mountextensions/3", "config/posix-platform-mounts/3", "config/posix-platform-mounts/4")
def test_mapped_mount(bundle: Bundle, report: Reader, source: str, options: tuple[str, ...]) -> None:
    """The mount is there, mapped, with its other options."""
    mapped(bundle, "/mnt", source, *options, gidMappings=[{"containerID": 0, "hostID": 2000, "size": 10}])
    found = report(bundle.probe("stat /mnt/file"))
    assert owner(found, "/mnt/file") == (1000, 2000)
    assert {"idmapped", *options} <= found.mount_options("/mnt")


@covers("features-linux/mountextensions/3", "config/mounts/2")
def test_mapped_mount_on_an_earlier_one(bundle: Bundle, report: Reader, source: str) -> None:
    """A mapped mount that lies on an earlier mount is made after it, and seen."""
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    mapped(bundle, "/mnt/inner", source)
    bundle.mount("/mnt/inner/file", "bind", bundle.file("word", "over"), "bind")
    mapped(bundle, "/srv", source)
    found = report(bundle.probe("stat /mnt/inner -- read /mnt/inner/file -- stat /srv/file"))
    assert found.verbs[0].value["uid"] == 1000
    assert found.verbs[1].value == "over"
    assert owner(found, "/srv/file") == (1000, 1000)


@needs("userns")
@covers("features-linux/mountextensions/3", "config/posix-platform-mounts/3", "config/posix-platform-mounts/4")
def test_mapped_mount_in_a_user_namespace(bundle: Bundle, report: Reader, source: str) -> None:
    """The mappings of a mount and those of the container: the first gives the id on the host."""
    bundle.user_namespace(HOST)
    mappings = [{"containerID": 0, "hostID": HOST + 7, "size": 10}]
    mapped(bundle, "/mnt", source, uidMappings=mappings, gidMappings=mappings)
    assert owner(report(bundle.probe("stat /mnt/file")), "/mnt/file") == (7, 7)
