"""Network parts that need no privilege: counters, a socket of rtnetlink, errors of its requests."""

from __future__ import annotations

import os

import pytest

from seatrial.runtime.config import Config, Namespace, Network
from seatrial.runtime.errors import ConfigError, SyscallError
from seatrial.runtime.network import statistics
from seatrial.runtime.network.route import Route, Step
from seatrial.runtime.validate_network import validate_network

DEV = """Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:    3245      30    1    2    0     0          0         0  3246      31    3    4    0     0       0          0
eth0.5:18446744073709551615 7 0 0 0 0 0 0 9 8 0 0 0 0 0 0
"""


def test_counters_are_read_by_column() -> None:
    lo, eth = statistics.parse(DEV)
    assert lo == statistics.InterfaceStatistics(
        name="lo", rx_bytes=3245, rx_packets=30, rx_errors=1, rx_dropped=2,
        tx_bytes=3246, tx_packets=31, tx_errors=3, tx_dropped=4,
    )  # fmt: skip
    assert (eth.name, eth.rx_bytes, eth.tx_packets) == ("eth0.5", 2**64 - 1, 8)


def test_counters_of_a_process() -> None:
    assert "lo" in [found.name for found in statistics.interface_statistics(os.getpid())]
    with pytest.raises(SyscallError, match=r"read /proc/2147483647/net/dev: ENOENT; has the container ended\?"):
        statistics.interface_statistics(2**31 - 1)


def test_only_what_the_runtime_put_there_is_counted() -> None:
    assert statistics.container_interfaces({}, -1) == []
    found = statistics.container_interfaces({"net_devices": {"a": {}}}, os.getpid())
    assert "lo" not in [interface.name for interface in found]


def test_rtnetlink_finds_the_loopback_device() -> None:
    with Route() as route:
        link = route.link("lo")
        assert link is not None
        assert link.loopback
        assert link.index in [each.index for each in route.links()]
        assert route.link("seatrial-nosuch") is None


def test_an_error_has_the_kernels_number() -> None:
    told = pytest.raises(SyscallError, match=r"^bring up nothing: (ENODEV|EPERM)")
    with Route() as route, told, Step("bring up", "nothing"):
        route.change(2**31 - 1, up=True)


def test_the_kernels_sentence_becomes_the_hint() -> None:
    with pytest.raises(SyscallError) as caught, Step("move", "x"):
        raise OSError(22, "Invalid argument: The interface netns is immutable")
    assert str(caught.value) == "move x: EINVAL; The interface netns is immutable"


VETH = Network(type="veth", name="eth0", host_name="v0")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "vlan"}, "networks[0].type"),
        ({"name": ""}, "networks[0].name"),
        ({"host_name": "x" * 16}, "networks[0].host_name"),
        ({"bridge": "a/b"}, "networks[0].bridge"),
        ({"gateway": "10.0.0.1"}, "networks[0].gateway"),
        ({"address": "10.0.0.2"}, "networks[0].address"),
        ({"address": "10.0.0.2/33"}, "networks[0].address"),
    ],
)
def test_networks_that_cannot_be(change: dict[str, str], path: str) -> None:
    config = Config(oci_version="1.3.0", bundle="/", rootfs="/", namespaces=[Namespace(type="net")])
    config.networks = [VETH, Network(type="loopback")]
    validate_network(config)
    config.networks = [VETH.replace(**change)]
    with pytest.raises(ConfigError) as caught:
        validate_network(config)
    assert caught.value.path == path


@pytest.mark.parametrize("change", [{"namespaces": []}, {"rootless_euid": True}, {"rootless_cgroups": True}])
def test_networks_need_a_namespace_and_a_runtime_that_may(change: dict[str, object]) -> None:
    config = Config(oci_version="1.3.0", bundle="/", rootfs="/", namespaces=[Namespace(type="net")], networks=[VETH])
    with pytest.raises(ConfigError) as caught:
        validate_network(config.replace(**change))
    assert caught.value.path == "networks"
