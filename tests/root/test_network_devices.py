"""linux.netDevices: what moves, what it keeps, and what comes home when something fails."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine
from private_network import PrivateNetwork

from seatrial.native import syscall

pytestmark = pytest.mark.root
ID = f"net-{os.getpid()}"  # two workers must not share a cgroup


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    """A pair a0, b0; a0 has all that a device can have and is down."""
    with PrivateNetwork() as network:
        network.ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        network.ip("link", "set", "a0", "mtu", "1380", "address", "02:00:00:00:00:77")
        network.ip("link", "set", "a0", "txqueuelen", "77", "alias", "x y")
        network.ip("address", "add", "10.9.0.1/24", "broadcast", "10.9.0.255", "dev", "a0")
        network.ip("address", "add", "10.9.0.2/32", "dev", "a0")
        network.ip("address", "add", "10.8.0.3/24", "scope", "link", "dev", "a0")
        network.ip("address", "add", "10.9.0.4/24", "valid_lft", "900", "preferred_lft", "900", "dev", "a0")
        network.ip("address", "add", "fd00:9::1/64", "nodad", "dev", "a0")
        yield network


@pytest.fixture
def joined(network: PrivateNetwork) -> Iterator[str]:
    """The path of a namespace that a container joins, with a device eth0 in it."""
    script = "ip link add eth0 type veth peer name eth0p && echo ready && exec cat"
    child = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield f"/proc/{child.pid}/ns/net"
    child.communicate("")


def moving(bundle: Bundle, **devices: dict[str, str]) -> Bundle:
    bundle.config["linux"]["netDevices"] = devices
    return bundle.write()


def join(bundle: Bundle, path: str) -> None:
    for namespace in bundle.config["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = path


def report(cli: CommandLine, bundle: Bundle) -> dict[str, Any]:
    bundle.args("report")
    document: dict[str, Any] = json.loads(cli("run", "--bundle", bundle.path, ID).stdout)
    return document


def names(path: str) -> list[str]:
    """The devices in a namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscall.setns(there, syscall.CLONE_NEWNET)
        return sorted(PrivateNetwork().devices())
    finally:
        syscall.setns(home, syscall.CLONE_NEWNET)
        os.close(home)
        os.close(there)


def test_a_device_moves_with_its_new_name_and_all_that_is_its_own(
    cli: CommandLine, bundle: Bundle, network: PrivateNetwork
) -> None:
    seen = report(cli, moving(bundle, a0={"name": "ctr0"}))
    device = next(entry for entry in seen["interfaces"] if entry["name"] == "ctr0")
    assert (device["mtu"], device["mac"], device["txqueuelen"], device["alias"]) == (
        1380,
        "02:00:00:00:00:77",
        77,
        "x y",
    )
    assert device["up"]
    own = [entry for entry in seen["addresses"] if entry["index"] == device["index"]]
    v4 = {entry["address"]: entry for entry in own if entry["family"] == "inet"}
    assert sorted(v4) == ["10.9.0.1", "10.9.0.2"], "the permanent ones of global scope"
    assert (v4["10.9.0.1"]["prefix"], v4["10.9.0.1"]["broadcast"]) == (24, "10.9.0.255")
    assert v4["10.9.0.2"]["prefix"] == 32
    v6 = [(entry["address"], entry["prefix"]) for entry in own if entry["family"] == "inet6" and entry["scope"] == 0]
    assert v6 == [("fd00:0009:0000:0000:0000:0000:0000:0001", 64)]


def test_without_a_name_the_old_one_stays(cli: CommandLine, bundle: Bundle, network: PrivateNetwork) -> None:
    seen = report(cli, moving(bundle, a0={}, b0={"name": "eth%d"}))
    assert sorted(entry["name"] for entry in seen["interfaces"]) == ["a0", "eth0", "lo"]
    assert list(network.devices()) == ["lo"]


def test_the_kernel_numbers_a_template(cli: CommandLine, bundle: Bundle, network: PrivateNetwork, joined: str) -> None:
    join(bundle, joined)
    seen = report(cli, moving(bundle, a0={"name": "eth%d"}))
    device = next(entry for entry in seen["interfaces"] if entry["name"] == "eth1")
    assert device["up"]
    assert "10.9.0.1" in [entry["address"] for entry in seen["addresses"] if entry["index"] == device["index"]]
    assert names(joined) == ["eth0", "eth0p", "eth1", "lo"], "it stays in the namespace"


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ({"a0": {}, "nosuch0": {}}, "linux.netDevices.nosuch0"),
        ({"a0": {}, "lo": {"name": "lo9"}}, "linux.netDevices.lo"),
        ({"b0": {}, "a0": {"name": "eth0"}}, "linux.netDevices.a0"),
    ],
)
def test_what_cannot_move_is_refused_before_anything_moves(
    cli: CommandLine, bundle: Bundle, network: PrivateNetwork, joined: str, devices: dict[str, Any], told: str
) -> None:
    network.ip("link", "set", "a0", "up")
    network.ip("link", "set", "b0", "up")
    before = network.devices()
    join(bundle, joined)
    failed = cli("create", "--bundle", moving(bundle, **devices).path, ID, check=False)
    assert failed.returncode == 1
    assert told in failed.stderr
    assert comparable(network.devices()) == comparable(before)
    assert names(joined) == ["eth0", "eth0p", "lo"]


def test_a_failure_half_way_brings_every_device_home(
    cli: CommandLine, bundle: Bundle, network: PrivateNetwork, joined: str
) -> None:
    network.ip("link", "set", "a0", "up")
    network.ip("link", "set", "b0", "up")
    before = network.devices()
    join(bundle, joined)
    # The kernel refuses a template with a second %, after the first device has moved and the second one, too.
    failed = cli("create", "--bundle", moving(bundle, a0={"name": "c0"}, b0={"name": "x%d%d"}).path, ID, check=False)
    assert failed.returncode == 1
    assert "move to the container b0 as x%d%d: EINVAL" in failed.stderr
    assert comparable(network.devices()) == comparable(before)
    assert names(joined) == ["eth0", "eth0p", "lo"]


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_creation_that_fails_later_brings_the_device_home(
    cli: CommandLine, bundle: Bundle, network: PrivateNetwork, kind: str
) -> None:
    before = network.devices()
    bundle.hook(kind, "exit", "3")
    if kind == "createContainer":
        bundle.config["hooks"][kind][0]["path"] = os.path.join(bundle.rootfs, "probe")
    failed = cli("create", "--bundle", moving(bundle, a0={"name": "c0"}).path, ID, check=False)
    assert failed.returncode == 1
    assert "hook" in failed.stderr
    assert comparable(network.devices()) == comparable(before)


def test_into_a_network_of_a_user_namespace(cli: CommandLine, network: PrivateNetwork) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # pytest's own are closed to the mapped root
        os.chmod(directory, 0o755)
        bundle = Bundle(os.path.join(directory, "bundle"))
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle.config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
        bundle.config["linux"]["namespaces"].append({"type": "user"})
        for path in (bundle.rootfs, os.path.join(bundle.rootfs, "probe")):
            os.chown(path, 100000, 100000)
        seen = report(cli, moving(bundle, a0={"name": "ctr0"}))
    assert next(entry for entry in seen["interfaces"] if entry["name"] == "ctr0")["up"]
    assert "10.9.0.1" in [entry["address"] for entry in seen["addresses"]]


def test_the_runtimes_own_namespace_is_refused(cli: CommandLine, bundle: Bundle, network: PrivateNetwork) -> None:
    join(bundle, f"/proc/{os.getpid()}/task/{_thread()}/ns/net")
    failed = cli("create", "--bundle", moving(bundle, a0={}).path, ID, check=False)
    assert failed.returncode == 1
    assert "the runtime's own network namespace" in failed.stderr


def _thread() -> int:
    import threading

    return threading.get_native_id()


def comparable(devices: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What has to be the same after a journey there and back; the kernel's link-local address is made anew."""
    return {
        name: (
            entry["mtu"],
            entry.get("address"),
            entry["txqlen"],
            entry.get("ifalias"),
            "UP" in entry["flags"],
            sorted(
                f"{address['local']}/{address['prefixlen']} {address['scope']}"
                for address in entry["addr_info"]
                if address["scope"] != "link" or address["family"] == "inet"
                if address["valid_life_time"] == 4294967295
            ),
        )
        for name, entry in devices.items()
    }
