"""Id-mapped mounts: how many there may be, what is left of them, and what cannot be mapped."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine

from seatrial.native import mount_api
from seatrial.runtime.launch import executor
from seatrial.runtime.mount_tree import user_namespace

MAP = {"containerID": 0, "hostID": 1000, "size": 10}


@pytest.fixture
def source(tmp_path: os.PathLike[str]) -> Iterator[str]:
    """A filesystem of its own (tmpfs, which can be id-mapped since Linux 6.3) with a file that belongs to 1:2."""
    path = os.path.join(tmp_path, "source")
    os.mkdir(path)
    mount_api.mount("tmpfs", path, "tmpfs")
    with open(os.path.join(path, "file"), "w"):
        os.chown(os.path.join(path, "file"), 1, 2)
    yield path
    mount_api.umount(path, mount_api.MNT_DETACH)


@pytest.fixture
def id(request: pytest.FixtureRequest) -> str:
    return f"idmap-{os.getpid()}-{request.node.name.translate(str.maketrans('[]', '--')).rstrip('-')}"


def bound(destination: str, source: str, *options: str, **members: Any) -> dict[str, Any]:
    return {"destination": destination, "source": source, "options": ["bind", *options], **members}


def owner(text: str) -> tuple[int, int]:
    """Of the last file that the probe's output has a stat of."""
    value = json.loads(text.splitlines()[-1])["value"]
    return value["uid"], value["gid"]


def in_user_namespace(bundle: Bundle) -> Bundle:
    """A container whose root is 100000 of the host, and owns the rootfs."""
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    for name in ("", *os.listdir(bundle.rootfs)):
        os.chown(os.path.join(bundle.rootfs, name), 100000, 100000)
    return bundle


def test_more_mounts_than_descriptors(cli: CommandLine, bundle: Bundle, id: str, source: str) -> None:
    """runc 5177: 600 id-mapped mounts under RLIMIT_NOFILE 1024, and here under 64: they are made one at a time."""
    mapping = {"uidMappings": [MAP], "gidMappings": [MAP]}
    bundle.config["mounts"] += [bound(f"/m/{number}", source, **mapping) for number in range(600)]
    bundle.args("stat", "/m/599/file")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        done = cli("run", "--bundle", bundle.path, id)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert owner(done.stdout) == (1001, 1002)


def test_more_mappings_than_are_kept_open(cli: CommandLine, bundle: Bundle, id: str, source: str) -> None:
    for number in range(40):
        mapping = [{**MAP, "hostID": 1000 + number}]
        bundle.config["mounts"].append(bound(f"/m/{number}", source, uidMappings=mapping, gidMappings=mapping))
    # A mapping that was used before, after its namespace had to make room.
    bundle.config["mounts"].append(bound("/again", source, uidMappings=[MAP], gidMappings=[MAP]))
    for path, expected in (("/m/39", (1040, 1041)), ("/again", (1001, 1002))):
        bundle.args("stat", f"{path}/file")
        assert owner(cli("run", "--bundle", bundle.path, id).stdout) == expected


def test_nothing_is_left_of_the_user_namespaces() -> None:
    executor()  # its memory file is made once and kept
    fds, children = os.listdir("/proc/self/fd"), own_children()
    fd = user_namespace("0 1000 10\n", "0 2000 10\n")
    assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:[")
    assert os.stat(fd).st_ino != os.stat("/proc/self/ns/user").st_ino
    os.close(fd)
    assert (os.listdir("/proc/self/fd"), own_children()) == (fds, children)


def own_children() -> str:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read()


@pytest.mark.parametrize(
    ("source", "hint"),
    [("/proc/sys", "no id-mapped mounts of that filesystem"), ("/nosuch/source", "ENOENT")],
    ids=["procfs", "missing"],
)
def test_what_cannot_be_mapped(cli: CommandLine, bundle: Bundle, id: str, source: str, hint: str) -> None:
    bundle.config["mounts"].append(bound("/m", source, uidMappings=[MAP], gidMappings=[MAP]))
    done = cli("run", "--bundle", bundle.write().path, id, check=False)
    assert done.returncode == 1
    assert source in done.stderr
    assert hint in done.stderr


def test_the_mapping_of_a_joined_namespace(cli: CommandLine, bundle: Bundle, id: str, source: str) -> None:
    """Without mappings of its own the mount takes those of the user namespace that the container joins."""
    in_user_namespace(bundle)
    bundle.config["mounts"].append(bound("/m", source, "idmap"))
    namespace = user_namespace("0 100000 65536\n", "0 100000 65536\n")
    try:
        linux = bundle.config["linux"]
        linux["namespaces"][-1]["path"] = f"/proc/{os.getpid()}/fd/{namespace}"
        bundle.args("stat", "/m/file")
        assert owner(cli("run", "--bundle", bundle.path, id).stdout) == (1, 2)
    finally:
        os.close(namespace)


def test_a_source_that_the_mapped_root_cannot_reach(cli: CommandLine, bundle: Bundle, id: str, source: str) -> None:
    """A volume below a directory of mode 0700, as engines have them: the bind mount is made by the host's root."""
    in_user_namespace(bundle)
    os.mkdir(os.path.join(source, "private"), 0o700)
    os.mkdir(os.path.join(source, "private", "volume"))
    with open(os.path.join(source, "private", "volume", "marker"), "w") as file:
        file.write("reached")
    bundle.config["mounts"].append(bound("/m", os.path.join(source, "private", "volume"), "ro"))
    bundle.args("read", "/m/marker")
    assert "reached" in cli("run", "--bundle", bundle.path, id).stdout
    bundle.config["mounts"][-1]["source"] += "/nosuch"
    done = cli("run", "--bundle", bundle.write().path, id, check=False)
    assert done.returncode == 1
    assert "EACCES" in done.stderr


def test_a_source_below_an_earlier_mount(cli: CommandLine, bundle: Bundle, id: str, source: str) -> None:
    """The source is looked up where the mounts before it are: in the container's mount namespace."""
    mapping = {"uidMappings": [MAP], "gidMappings": [MAP]}
    bundle.config["mounts"] += [bound("/a", source), bound("/b", os.path.join(bundle.rootfs, "a"), **mapping)]
    bundle.args("stat", "/b/file")
    assert owner(cli("run", "--bundle", bundle.path, id).stdout) == (1001, 1002)
