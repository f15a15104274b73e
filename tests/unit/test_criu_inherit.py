"""What a restored container gets from outside of its images."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from seatrial.runtime.checkpoint import CriuOptions, VethPair
from seatrial.runtime.config import NAMESPACE_FLAGS, Config, Namespace, Network
from seatrial.runtime.criu.image import Directory
from seatrial.runtime.criu.inherit import (
    Descriptors,
    cgroup_roots,
    inherited_namespaces,
    inherited_streams,
    namespaces_to_join,
    veth_pairs,
)
from seatrial.runtime.criu.service import FIRST
from seatrial.runtime.errors import CriuError, SyscallError
from seatrial.runtime.process import Process


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    before = set(os.listdir("/proc/self/fd"))
    made = Descriptors()
    yield made
    made.close()
    assert set(os.listdir("/proc/self/fd")) <= before


def config(*namespaces: Namespace, networks: tuple[Network, ...] = ()) -> Config:
    return Config(oci_version="1.3.0", bundle="/b", rootfs="/r", namespaces=list(namespaces), networks=list(networks))


def test_joined_network_namespace_is_passed(descriptors: Descriptors) -> None:
    wanted = config(Namespace(type="net", path="/proc/self/ns/net"), Namespace(type="pid"))
    assert inherited_namespaces(wanted, descriptors) == [{"key": "extRootNetNS", "fd": FIRST}]
    assert os.path.samestat(os.fstat(descriptors.passed[0]), os.stat("/proc/self/ns/net"))
    assert namespaces_to_join(wanted) == []


def test_namespace_that_is_not_there(descriptors: Descriptors) -> None:
    with pytest.raises(SyscallError, match="open the net namespace /none: ENOENT"):
        inherited_namespaces(config(Namespace(type="net", path="/none")), descriptors)


def test_other_joined_namespaces() -> None:
    wanted = config(Namespace(type="ipc", path="/i"), Namespace(type="uts"), Namespace(type="user", path="/u"))
    assert namespaces_to_join(wanted) == [{"ns": "ipc", "ns_file": "/i"}, {"ns": "user", "ns_file": "/u"}]
    for type in ("cgroup", "time"):
        with pytest.raises(CriuError, match=type):
            namespaces_to_join(config(Namespace(type=type, path="/x")))


def test_streams(tmp_path: os.PathLike[str], descriptors: Descriptors) -> None:
    images = Directory(os.fspath(tmp_path), make=False)
    images.write("descriptors.json", ["pipe:[1]", "/dev/null", "file[1b:2]"])
    read, write = os.pipe()
    entries = inherited_streams(images, Process([], stdin=read, stdout=write, stderr=write), descriptors)
    assert entries == [{"key": "pipe:[1]", "fd": FIRST}, {"key": "file[1b:2]", "fd": FIRST + 1}]
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in descriptors.passed] == [
        os.readlink(f"/proc/self/fd/{fd}") for fd in (read, write)
    ]
    images.write("descriptors.json", ["tty[8800:1a]"] * 3)  # one terminal for all
    assert len(inherited_streams(images, Process([], stdin=read, stdout=read, stderr=read), descriptors)) == 1
    for fd in (read, write):
        os.close(fd)
    images.close()


@pytest.mark.parametrize("wrong", [None, {}, [1, 2, 3]])
def test_streams_of_a_damaged_image(tmp_path: os.PathLike[str], descriptors: Descriptors, wrong: object) -> None:
    images = Directory(os.fspath(tmp_path), make=False)
    if wrong is not None:
        images.write("descriptors.json", wrong)
    with pytest.raises(CriuError, match=r"descriptors\.json"):
        inherited_streams(images, Process([]), descriptors)
    images.close()


def test_veth_pairs() -> None:
    networks = (
        Network(type="veth", name="eth0", host_name="v0", bridge="br0"),
        Network(type="veth", name="eth1", host_name="v1"),
        Network(type="loopback"),
    )
    options = CriuOptions(images_directory="/i", veth_pairs=[VethPair(container_name="eth2", host_name="v2")])
    wanted = config(networks=networks)
    assert veth_pairs(wanted, options) == ["veth[eth0]:v0@br0", "veth[eth1]:v1", "veth[eth2]:v2"]
    assert veth_pairs(wanted, options.replace(empty_namespaces=NAMESPACE_FLAGS["net"])) == []


def test_cgroup_roots_are_those_of_known_hierarchies() -> None:
    with open("/proc/self/cgroup") as file:
        lines = [line.split(":", 2) for line in file.read().splitlines()]
    name = lines[0][1].split(",")[0]
    assert cgroup_roots(os.getpid(), {name: "/x"}) == [{"ctrl": name, "path": lines[0][2]}]
    assert cgroup_roots(os.getpid(), {}) == []
