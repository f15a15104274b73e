"""config.md#linux-mount-options, #posix-platform-mounts: id-mapped mounts, by the owners that the probe sees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.unsupported import create_or_skip, report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.native import mount_api as native

pytestmark = needs("root", "call:mount_setattr")
Rejected = Callable[..., Result]
ROW = "config/linux-mount-options/"
MOUNTS = "config/posix-platform-mounts/"
HOST_ID, NOBODY = 100000, 65534  # of the user namespace; /proc/sys/kernel/overflowuid
OWNERS = {"root": (0, 0), "other": (1, 2), "far": (500, 600)}  # files of the source


@pytest.fixture
def source(bundle: Bundle) -> Iterator[str]:
    """A host directory with files of several owners, and a second one like it mounted on its `inner`."""
    outer, inner = bundle.outside("source"), bundle.outside("inner")
    for directory in (outer, inner):
        os.mkdir(directory)
        for name, owner in OWNERS.items():
            path = os.path.join(directory, name)
            with open(path, "w", encoding="utf-8"):
                os.chown(path, *owner)
    os.mkdir(outer + "/inner")
    # Bind mounts of the bundle's own filesystem: one that the host can id-map, whatever it is.
    native.mount(inner, outer + "/inner", None, native.MS_BIND)
    native.mount("none", outer + "/inner", None, native.MS_PRIVATE)
    yield outer
    native.umount(outer + "/inner", native.MNT_DETACH)


def mapping(host_id: int, size: int = 10) -> list[dict[str, int]]:
    return [{"containerID": 0, "hostID": host_id, "size": size}]


def ask(
    bundle: Bundle, source: str, *options: str, uids: list[dict[str, int]] | None = None, gids: Any = None
) -> Bundle:
    """The source on /mnt, with mappings where they are given; the probe looks at every file."""
    bundle.config["ociVersion"] = "1.2.0" if {"idmap", "ridmap"} & {*options} else "1.1.0"
    bundle.mount("/mnt", "bind", source, *options)
    if uids is not None:
        bundle.config["mounts"][-1]["uidMappings"] = uids
    if gids is not None:
        bundle.config["mounts"][-1]["gidMappings"] = gids
    files = [f"/mnt/{directory}{name}" for directory in ("", "inner/") for name in OWNERS]
    return bundle.probe(" -- ".join(f"stat {path}" for path in files))


def owners(found: Report, directory: str) -> dict[str, tuple[int, int]]:
    """Owner of each file in a directory of the container."""
    stats = {name: found.verb("stat", f"{directory}/{name}") for name in OWNERS}
    assert all(verb.ok for verb in stats.values()), stats
    return {name: (verb.value["uid"], verb.value["gid"]) for name, verb in stats.items()}


def unchanged(source: str) -> bool:
    """Whether the files still have their owners on the host."""
    stats = {name: os.stat(os.path.join(source, name)) for name in OWNERS}
    return {name: (stat.st_uid, stat.st_gid) for name, stat in stats.items()} == OWNERS


PLAIN = {"root": (1000, 2000), "other": (1001, 2002), "far": (NOBODY, NOBODY)}
INSIDE = {"root": (7, 9), "other": (8, 11), "far": (NOBODY, NOBODY)}
NOT_MAPPED = dict.fromkeys(OWNERS, (NOBODY, NOBODY))  # as seen from the user namespace


def own(name: str, *options: str, user: bool, below: bool) -> object:
    """A row of the matrix: mappings of the mount's own."""
    marks = [covers(MOUNTS + "3", MOUNTS + "4", MOUNTS + "5")]
    for word in options:
        if word in ("idmap", "ridmap"):
            rows = [ROW + word, *(f"{ROW}{word}-{part}" for part in ("applied", "own-mappings", "mount-setattr"))]
            marks.append(covers(*rows))
    if not {"idmap", "ridmap"} & {*options}:
        marks.append(covers(MOUNTS + "6"))
    if user:
        marks.append(needs("userns"))
    return pytest.param(options, user, below, marks=marks, id=name)


@pytest.mark.parametrize(
    ("options", "user", "below"),
    [
        own("idmap", "rbind", "idmap", user=False, below=False),
        own("ridmap", "rbind", "ridmap", user=False, below=True),
        own("mappings alone", "rbind", user=False, below=False),
        own("idmap in a user namespace", "rbind", "idmap", user=True, below=False),
        own("ridmap in a user namespace", "rbind", "ridmap", user=True, below=True),
        own("mappings alone in a user namespace", "rbind", user=True, below=False),
    ],
)
def test_mappings_of_the_mount(
    runtime: Runtime, bundle: Bundle, source: str, options: tuple[str, ...], user: bool, below: bool
) -> None:
    """The owners inside are those that the mount's mappings make of the source's (config.md#posix-platform-mounts)."""
    if user:
        bundle.user_namespace(HOST_ID)
    uids, gids = (HOST_ID + 7, HOST_ID + 9) if user else (1000, 2000)
    found = report_or_skip(runtime, ask(bundle, source, *options, uids=mapping(uids), gids=mapping(gids)))
    mapped = INSIDE if user else PLAIN
    assert owners(found, "/mnt") == mapped
    assert "idmapped" in found.mount_options("/mnt")
    assert unchanged(source)
    if {"idmap", "ridmap"} & {*options}:  # else nothing says what becomes of the mounts below
        assert owners(found, "/mnt/inner") == (mapped if below else NOT_MAPPED if user else OWNERS)
        assert ("idmapped" in found.mount_options("/mnt/inner")) == below


@needs("userns")
@pytest.mark.parametrize(
    "word",
    [
        pytest.param(word, marks=covers(f"{ROW}{word}-userns-mapping", f"{ROW}{word}-no-fallback-error"))
        for word in ("idmap", "ridmap")
    ],
)
def test_mapping_of_the_container(runtime: Runtime, bundle: Bundle, source: str, word: str) -> None:
    """Without mappings: those of the container's user namespace, or an error (config.md#linux-mount-options)."""
    bundle.user_namespace(HOST_ID)
    found = report_or_skip(runtime, ask(bundle, source, "rbind", word))
    assert owners(found, "/mnt") == OWNERS
    assert owners(found, "/mnt/inner") == (OWNERS if word == "ridmap" else NOT_MAPPED)
    assert unchanged(source)


@pytest.mark.parametrize(
    "word", [pytest.param(word, marks=covers(f"{ROW}{word}-no-userns-error")) for word in ("idmap", "ridmap")]
)
def test_nothing_to_map_by(
    runtime: Runtime, bundle: Bundle, source: str, rejected: Rejected, make_bundle: Callable[[], Bundle], word: str
) -> None:
    """Without mappings and without a user namespace: an error (config.md#linux-mount-options)."""
    create_or_skip(runtime, ask(make_bundle(), source, "rbind", word, uids=mapping(1000), gids=mapping(2000)))
    rejected(runtime, ask(bundle, source, "rbind", word))


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("gidMappings", marks=covers(MOUNTS + "8")),
        pytest.param("uidMappings", marks=covers(MOUNTS + "9")),
    ],
)
def test_one_mapping_without_the_other(
    runtime: Runtime, bundle: Bundle, source: str, rejected: Rejected, make_bundle: Callable[[], Bundle], missing: str
) -> None:
    """uidMappings and gidMappings come together (config.md#posix-platform-mounts)."""
    create_or_skip(runtime, ask(make_bundle(), source, "rbind", uids=mapping(1000), gids=mapping(2000)))
    ask(bundle, source, "rbind", uids=mapping(1000), gids=mapping(2000))
    del bundle.config["mounts"][-1][missing]
    rejected(runtime, bundle)


WRONG: dict[str, dict[str, Any]] = {
    "no containerID": {"hostID": 1000, "size": 10},
    "no hostID": {"containerID": 0, "size": 10},
    "no size": {"containerID": 0, "hostID": 1000},
    "text": {"containerID": "0", "hostID": 1000, "size": 10},
}


@covers(MOUNTS + "7")
@pytest.mark.parametrize("entry", WRONG.values(), ids=WRONG)
def test_mappings_of_another_form(
    runtime: Runtime,
    bundle: Bundle,
    source: str,
    rejected: Rejected,
    make_bundle: Callable[[], Bundle],
    entry: dict[str, Any],
) -> None:
    """The mappings have the form of linux.uidMappings (config.md#posix-platform-mounts)."""
    create_or_skip(runtime, ask(make_bundle(), source, "rbind", uids=mapping(1000), gids=mapping(2000)))
    rejected(runtime, ask(bundle, source, "rbind", uids=[entry], gids=mapping(2000)))


@covers(ROW + "idmap-applied")
def test_other_options_hold_on_a_mapped_mount(runtime: Runtime, bundle: Bundle, source: str) -> None:
    """Flags, recursive attributes and propagation are what they are without a mapping."""
    options = ("rbind", "idmap", "ro", "nosuid", "rnoexec", "rshared")
    found = report_or_skip(runtime, ask(bundle, source, *options, uids=mapping(1000), gids=mapping(2000)))
    assert owners(found, "/mnt") == PLAIN
    assert {"ro", "nosuid", "noexec", "idmapped"} <= found.mount_options("/mnt")
    assert {"ro", "nosuid", "noexec"} & found.mount_options("/mnt/inner") == {"noexec"}
    for target in ("/mnt", "/mnt/inner"):
        assert any(word.startswith("shared:") for word in found.mount(target)["propagation"]), target


@covers(ROW + "idmap-applied")
def test_a_mapped_file(runtime: Runtime, bundle: Bundle, source: str) -> None:
    """A mount of a single file is mapped like any other."""
    bundle.config["ociVersion"] = "1.2.0"
    bundle.mount("/file", "bind", source + "/other", "bind", "idmap")
    bundle.config["mounts"][-1].update(uidMappings=mapping(1000), gidMappings=mapping(2000))
    verb = report_or_skip(runtime, bundle.probe("stat /file")).verb("stat")
    assert (verb.value["uid"], verb.value["gid"]) == PLAIN["other"]
