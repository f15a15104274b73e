"""Networks of library containers: a veth pair that lives as long as the container."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, library_config
from private_network import PrivateNetwork

from seatrial.native import syscall
from seatrial.runtime import Container, Process
from seatrial.runtime.config import Config, Network
from seatrial.runtime.errors import SyscallError

pytestmark = pytest.mark.root
ID = f"veth-{os.getpid()}"


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    with PrivateNetwork() as network:
        network.ip("link", "set", "lo", "up")
        network.ip("link", "add", "br0", "type", "bridge")
        network.ip("address", "add", "10.9.1.1/24", "dev", "br0")
        network.ip("link", "set", "br0", "up")
        yield network


@pytest.fixture
def config(bundle: Bundle) -> Config:
    return library_config(
        bundle,
        networks=[
            Network(type="loopback"),
            Network(
                type="veth",
                name="eth0",
                host_name="veth-trial",
                bridge="br0",
                address="10.9.1.2/24",
                gateway="10.9.1.1",
                mac_address="02:00:00:00:01:02",
                mtu=1400,
            ),
        ],
    )


@pytest.fixture
def root(tmp_path: os.PathLike[str]) -> str:
    return os.path.join(tmp_path, "root")


def seen(container: Container) -> dict[str, Any]:
    """What the probe, run as the container's process, reports."""
    reader, writer = os.pipe()
    container.run(Process(["/probe", "report"], cwd="/", env=["PATH=/"], stdout=writer))
    os.close(writer)
    with open(reader) as file:
        document: dict[str, Any] = json.load(file)
    process = container.process
    assert process is not None
    assert process.wait() == 0
    return document


def test_a_pair_connects_the_container_with_the_bridge(network: PrivateNetwork, config: Config, root: str) -> None:
    with Container.create(root, ID, config) as container:
        container.start(Process(["/probe", "hold"], cwd="/", env=["PATH=/"]))
        host = network.devices()["veth-trial"]
        assert (host["master"], host["mtu"]) == ("br0", 1400)
        assert "UP" in host["flags"]
        # The address answers: inside is up and has a route back.
        listener = _listen(container)
        with socket.create_connection(("10.9.1.2", listener.getsockname()[1]), timeout=10) as client:
            accepted, peer = listener.accept()
            accepted.close()
            assert peer[0] == client.getsockname()[0] == "10.9.1.1"
        listener.close()
        (counted,) = container.stats().network_interfaces
        assert counted.name == "eth0"
        assert counted.rx_packets >= 3, "the handshake, as the container sees it"
        assert counted.tx_bytes > 66
        container.destroy(force=True)
    assert "veth-trial" not in network.devices()


def _listen(container: Container) -> socket.socket:
    """A listening socket in the container's network namespace, made by a thread that ends there."""
    pid = container.state()["pid"]
    found: list[socket.socket] = []

    def make() -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscall.setns(namespace, syscall.CLONE_NEWNET)
        os.close(namespace)
        found.append(socket.create_server(("10.9.1.2", 0)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return found[0]


def test_the_container_sees_what_was_asked_for(network: PrivateNetwork, config: Config, root: str) -> None:
    config.networks[1].bridge = ""
    with Container.create(root, ID, config) as container:
        report = seen(container)
        device = next(entry for entry in report["interfaces"] if entry["name"] == "eth0")
        assert (device["mac"], device["mtu"], device["up"]) == ("02:00:00:00:01:02", 1400, True)
        own = [entry for entry in report["addresses"] if entry["index"] == device["index"]]
        v4 = [(entry["address"], entry["prefix"], entry["broadcast"]) for entry in own if entry["family"] == "inet"]
        assert v4 == [("10.9.1.2", 24, "10.9.1.255")]
        container.destroy()
    assert "veth-trial" not in network.devices()


def test_ipv6(network: PrivateNetwork, config: Config, root: str) -> None:
    config.networks[1] = Network(
        type="veth", name="eth0", host_name="veth-trial", address="fd00:9::2/64", gateway="fd00:9::1"
    )
    with Container.create(root, ID, config) as container:
        report = seen(container)
        assert ("fd00:0009:0000:0000:0000:0000:0000:0002", 64) in [
            (entry["address"], entry["prefix"]) for entry in report["addresses"]
        ]
        container.destroy()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"host_name": "br0"}, "make the veth pair br0 with eth0 in the container: EEXIST"),
        ({"bridge": "nosuch"}, "look up the bridge nosuch: ENODEV"),
        ({"gateway": "10.99.0.1"}, "add the default route through 10.99.0.1 in the container: ENETUNREACH"),
        ({"mac_address": "ff:00:00:00:00:00"}, "EADDRNOTAVAIL"),
    ],
)
def test_a_failure_leaves_nothing(
    network: PrivateNetwork, config: Config, root: str, change: dict[str, str], told: str
) -> None:
    config.networks[1] = config.networks[1].replace(**change)
    before = sorted(network.devices())
    container = Container.create(root, ID, config)
    with pytest.raises(SyscallError) as caught:
        container.run(Process(["/probe", "hold"], cwd="/"))
    assert told in str(caught.value)
    container.close()
    assert os.listdir(root) == []
    assert sorted(network.devices()) == before


def test_delete_by_another_program_removes_the_pair(network: PrivateNetwork, config: Config, root: str) -> None:
    with Container.create(root, ID, config) as container:
        container.start(Process(["/probe", "hold"], cwd="/", env=["PATH=/"]))
        process = container.process
    with Container.load(root, ID) as other:
        other.destroy(force=True)
    assert process is not None
    process.wait()
    assert "veth-trial" not in network.devices()


def test_another_device_of_that_name_is_left_alone(network: PrivateNetwork, config: Config, root: str) -> None:
    with Container.create(root, ID, config) as container:
        container.start(Process(["/probe", "hold"], cwd="/", env=["PATH=/"]))
        network.ip("link", "delete", "veth-trial")
        network.ip("link", "add", "veth-trial", "type", "veth", "peer", "name", "other")
        container.destroy(force=True)
    assert {"veth-trial", "other"} <= set(network.devices())


def test_from_threads_and_from_within_an_event_loop(network: PrivateNetwork, config: Config, root: str) -> None:
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    failures: list[BaseException] = []

    def live(number: int) -> None:
        own = config.copy()
        own.networks[1] = Network(type="veth", name="eth0", host_name=f"v{number}", address=f"10.9.{number}.2/24")
        try:
            syscall.setns(namespace, syscall.CLONE_NEWNET)  # a thread of ours starts in the host's
            with Container.create(root, f"{ID}-{number}", own) as container:
                container.start(Process(["/probe", "hold"], cwd="/", env=["PATH=/"]))
                assert f"v{number}" in network.devices()
                container.destroy(force=True)
        except BaseException as failure:
            failures.append(failure)

    async def in_loop() -> None:
        live(30)
        await asyncio.to_thread(live, 31)

    live(32)  # imports what it needs
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=live, args=(number,)) for number in range(40, 46)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    asyncio.run(in_loop())
    os.close(namespace)
    assert failures == []
    assert sorted(network.devices()) == ["br0", "lo"]
