"""config.md#mounts and #posix-platform-mounts: order, destinations, sources, types."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import Part, together

Reader = Callable[..., Report]


def data(bundle: Bundle, name: str = "data") -> str:
    """A host directory with a marker file."""
    source = bundle.outside(name)
    os.makedirs(source)
    with open(os.path.join(source, "marker"), "w", encoding="utf-8") as file:
        file.write(name)
    return source


@covers("config/mounts/1")
def test_mounts_may_be_left_out(runtime: Runtime, bundle: Bundle) -> None:
    """Without mounts the root alone is mounted (config.md#mounts)."""
    del bundle.config["mounts"]
    for member in ("maskedPaths", "readonlyPaths"):
        del bundle.linux[member]
    container = runtime.create(bundle.probe("hold", report=False))
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        targets = {line.split()[4] for line in file}
    assert "/" in targets
    assert targets & {"/proc", "/sys", "/dev/shm", "/dev/mqueue"} == set()


@together()
@covers("config/mounts/2")
def test_mounts_are_made_in_order(bundle: Bundle) -> Part:
    """A later mount lies on an earlier one (config.md#mounts)."""
    path = bundle.spot()
    marker = os.path.join(data(bundle, "first"), "marker")
    bundle.mount(path, "tmpfs", "tmpfs")
    bundle.mount(f"{path}/file", "bind", marker, "bind")
    bundle.mount(f"{path}/below", "tmpfs", "tmpfs", "ro")
    found = yield f"read {path}/file -- touch {path}/below/x -- touch {path}/x"
    assert found.verbs[0].value == "first"
    assert [verb.errno for verb in found.verbs] == [None, "EROFS", None]


@together()
@covers("config/mounts/2")
def test_later_mount_hides_earlier_ones(bundle: Bundle) -> Part:
    """In the other order the later mount covers them (config.md#mounts)."""
    path = bundle.spot()
    marker = os.path.join(data(bundle, "hidden"), "marker")
    bundle.mount(f"{path}/file", "bind", marker, "bind").mount(path, "tmpfs", "tmpfs")
    found = yield f"read {path}/file"
    assert found.verbs[0].errno == "ENOENT"


@covers("config/mounts/3")
def test_mount_without_destination_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]
) -> None:
    """Every mount needs a destination (config.md#mounts)."""
    bundle.config["mounts"].append({"type": "tmpfs", "source": "tmpfs"})
    rejected(runtime, bundle)


@together()
@covers("config/mounts/4")
@pytest.mark.parametrize("destination", ["/mnt", "/made/by/the/runtime"])
def test_absolute_destination(bundle: Bundle, destination: str) -> Part:
    """The mount is at its destination, which is made where it is missing (config.md#mounts)."""
    bundle.mount(destination, "tmpfs", "tmpfs")
    found = yield None
    assert found.mount(destination)["fstype"] == "tmpfs"


@covers("config/mounts/5", "config/mounts/6")
def test_relative_destination_counts_from_the_root(bundle: Bundle, report: Reader) -> None:
    """A relative destination (deprecated) is taken from / (config.md#mounts)."""
    bundle.process["cwd"] = "/tmp"
    assert report(bundle.mount("mnt/x", "tmpfs", "tmpfs")).mount("/mnt/x")["fstype"] == "tmpfs"


@pytest.mark.parametrize("type", ["tmpfs", "proc"])
@covers("config/mounts/7")
def test_source_may_be_left_out(bundle: Bundle, report: Reader, type: str) -> None:
    """Filesystems that need no source are mounted without one (config.md#mounts)."""
    destination = "/proc" if type == "proc" else "/mnt"
    if type == "proc":
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if entry["destination"] != "/proc"]
        bundle.config["mounts"].insert(0, {"destination": "/proc", "type": "proc"})
    else:
        bundle.mount(destination, type)
    assert report(bundle).mount(destination)["fstype"] == type


@together()
@covers("config/mounts/8")
def test_absolute_bind_source_is_a_host_path(bundle: Bundle) -> Part:
    """The source is looked up on the host (config.md#mounts)."""
    path = bundle.spot()
    bundle.mount(path, "bind", data(bundle, "absolute"), "bind")
    found = yield f"read {path}/marker"
    assert found.verbs[0].value == "absolute"


@together()
@covers("config/mounts/9")
def test_relative_bind_source_counts_from_the_bundle(bundle: Bundle) -> Part:
    """A relative source is taken from the bundle, whatever the caller's cwd (config.md#mounts)."""
    path = bundle.spot()
    data(bundle, "relative")
    bundle.mount(path, "bind", "relative", "bind")
    found = yield f"read {path}/marker"
    assert found.verbs[0].value == "relative"


@together()
@pytest.mark.parametrize("option", ["bind", "rbind"])
@pytest.mark.parametrize("type", ["none", "bind", "nosuchfs", None])
@covers("config/mounts/10", "config/posix-platform-mounts/2")
def test_bind_option_makes_a_bind_mount(bundle: Bundle, option: str, type: str | None) -> Part:
    """With bind or rbind the type means nothing (config.md#mounts)."""
    path, name = bundle.spot(), f"{option}-{type}"
    bundle.mount(path, type, data(bundle, name), option)
    found = yield f"read {path}/marker"
    assert found.verbs[0].value == name


@together()
@covers("config/mounts/11")
def test_options_may_be_left_out(bundle: Bundle) -> Part:
    """A tmpfs without options has the kernel's defaults (config.md#mounts)."""
    path = bundle.spot()
    bundle.mount(path, "tmpfs", "tmpfs")
    found = yield None
    shown = found.mount_options(path)
    assert {"rw", "relatime"} - shown == set()
    assert {"nosuid", "nodev", "noexec", "noatime", "ro"} & shown == set()


TYPES = {"/proc": "proc", "/dev": "tmpfs", "/dev/pts": "devpts", "/dev/mqueue": "mqueue", "/sys": "sysfs"}


@pytest.mark.parametrize(("destination", "type"), TYPES.items())
@covers("config/posix-platform-mounts/1")
def test_type_names_a_filesystem(default_report: Report, destination: str, type: str) -> None:
    """The mount is of the type asked for (config.md#posix-platform-mounts)."""
    assert default_report.mount(destination)["fstype"] == type


@covers("config/posix-platform-mounts/1")
def test_unknown_type_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]) -> None:
    """A type that the kernel does not have is refused (config.md#posix-platform-mounts)."""
    rejected(runtime, bundle.mount("/mnt", "nosuchfs", "none"))


@together()
@pytest.mark.parametrize("kind", ["file", "directory"])
@covers("config/mounts/8")
def test_destination_of_a_bind_is_made_like_its_source(bundle: Bundle, kind: str) -> Part:
    """A missing destination becomes a file for a file, a directory for a directory (config.md#mounts)."""
    source, place = data(bundle, kind), f"/new-{kind}/place"
    bundle.mount(place, "bind", source + "/marker" if kind == "file" else source, "bind")
    found = yield f"stat {place}"
    assert found.verbs[0].value["type"] == {"file": "f", "directory": "d"}[kind]


ESCAPES = {"absolute": "/outside", "parents": "../../../../../../outside"}


@pytest.mark.parametrize("kind", ESCAPES)
@covers("config/mounts/4")
def test_destination_does_not_leave_the_rootfs(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """A symlink of the rootfs in a destination is resolved in the rootfs, never on the host (config.md#mounts)."""
    bundle.symlink(ESCAPES[kind] + bundle.path, "escape")
    bundle.mount("/escape/made", "tmpfs", "tmpfs")
    runtime.prove_sane()
    runtime.create(bundle.probe("hold", report=False), check=False)
    assert not os.path.exists(bundle.outside("made"))
    assert not os.path.exists("/outside")
