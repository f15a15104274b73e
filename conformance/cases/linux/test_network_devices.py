"""config-linux.md#network-devices: devices of the runtime's network namespace move into the container's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.features.members import find
from seatrial.conformance.cases.unsupported import create_or_skip, report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.network import HostNetwork, OtherNetwork
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.errors import Finding

pytestmark = needs("root", "net", "veth")
ROW = "config-linux/network-devices/"
LIFECYCLE = "config-linux/namespace-lifecycle-and-container-termination/"
Rejected = Callable[..., Result]


@pytest.fixture
def host() -> Iterator[HostNetwork]:
    """A network of its own for the runtime, with the connected devices trial0 and trial1, and spare0 and spare1: of a
    pair both go when one's namespace goes."""
    with HostNetwork() as host:
        host.pair("trial0", "trial1")
        host.pair("spare0", "spare1")
        yield host


@pytest.fixture
def other() -> Iterator[OtherNetwork]:
    """A network namespace to join, with the devices eth0 and eth9."""
    with OtherNetwork("eth0", "eth9") as other:
        yield other


def moving(bundle: Bundle, **devices: dict[str, str]) -> Bundle:
    """Set linux.netDevices, which came with version 1.3.0."""
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["netDevices"] = devices
    return bundle


def device(report: Report, name: str) -> dict[str, Any]:
    """An interface of the report; Finding when there is none."""
    for entry in report["interfaces"]:
        if entry["name"] == name:
            return dict(entry)
    raise Finding(f"the container has no {name}, only {', '.join(entry['name'] for entry in report['interfaces'])}")


def addresses(report: Report, name: str) -> dict[str, dict[str, Any]]:
    """The addresses of an interface."""
    index = device(report, name)["index"]
    return {entry["address"]: entry for entry in report["addresses"] if entry["index"] == index}


def permanent(devices: dict[str, dict[str, Any]], name: str) -> list[str]:
    """The permanent addresses of global scope, as `ip address` shows them."""
    return sorted(
        f"{entry['local']}/{entry['prefixlen']}"
        for entry in devices[name]["addr_info"]
        if entry["scope"] == "global" and entry["valid_life_time"] == 4294967295
    )


@covers(ROW + "1", ROW + "2", ROW + "8")
def test_a_device_moves_and_is_up(runtime: Runtime, bundle: Bundle, host: HostNetwork) -> None:
    """It is in the container, under its old name without `name`, up, and gone from the runtime's namespace."""
    found = report_or_skip(runtime, moving(bundle, trial0={}))
    assert device(found, "trial0")["up"]
    assert "trial0" not in host.devices()


@needs("features")
@covers("features-linux/netdevices/2", ROW + "1")
def test_who_claims_it_moves_devices(runtime: Runtime, bundle: Bundle, host: HostNetwork) -> None:
    """The other cases are skipped where a runtime refuses netDevices; one that says in `features` that it has them
    refuses no device that can be moved (features-linux.md#netdevices)."""
    if not find(runtime.features(), "linux.netDevices.enabled"):
        pytest.skip("features: no linux.netDevices")
    result = runtime.run(moving(bundle, trial0={"name": "moved0"}))
    assert device(parse(result.stdout, result), "moved0")["up"]


@covers(ROW + "1", ROW + "2", ROW + "6", ROW + "7", ROW + "8")
def test_a_renamed_device_keeps_what_is_its_own(runtime: Runtime, bundle: Bundle, host: HostNetwork) -> None:
    """MTU, hardware address, queue length, alias and the permanent addresses of global scope survive the move."""
    host.ip("link", "set", "trial0", "mtu", "1370", "address", "02:00:00:00:7a:11", "txqueuelen", "55", "alias", "sea")
    host.ip("address", "add", "192.0.2.7/24", "broadcast", "192.0.2.255", "dev", "trial0")
    host.ip("address", "add", "198.51.100.9/32", "dev", "trial0")
    host.ip("address", "add", "2001:db8::7/64", "nodad", "dev", "trial0")
    found = report_or_skip(runtime, moving(bundle, trial0={"name": "ctr0"}))
    moved = device(found, "ctr0")
    assert moved["up"]
    assert {name: moved.get(name) for name in ("mtu", "mac", "txqueuelen", "alias")} == {
        "mtu": 1370,
        "mac": "02:00:00:00:7a:11",
        "txqueuelen": 55,
        "alias": "sea",
    }
    has = addresses(found, "ctr0")
    for address, prefix in (("192.0.2.7", 24), ("198.51.100.9", 32), ("2001:0db8:0000:0000:0000:0000:0000:0007", 64)):
        assert address in has, f"{address} is not on the device in the container"
        assert has[address]["prefix"] == prefix
    assert has["192.0.2.7"].get("broadcast") == "192.0.2.255"


@covers(ROW + "1")
def test_several_devices_move(runtime: Runtime, bundle: Bundle, host: HostNetwork) -> None:
    """Every key of netDevices is served."""
    found = report_or_skip(runtime, moving(bundle, trial0={"name": "left0"}, trial1={"name": "right0"}))
    assert device(found, "left0")["up"]
    assert device(found, "right0")["up"]
    assert not {"trial0", "trial1"} & set(host.devices())


@covers(ROW + "3")
@pytest.mark.parametrize("name", ["missing", "loopback", "without a namespace"])
def test_a_move_that_is_not_possible_is_refused(
    runtime: Runtime,
    bundle: Bundle,
    make_bundle: Callable[[], Bundle],
    rejected: Rejected,
    host: HostNetwork,
    name: str,
) -> None:
    """The runtime checks that the move is possible; nothing has moved then."""
    report_or_skip(runtime, moving(make_bundle(), spare0={}))
    moving(bundle, trial0={})
    if name == "missing":
        bundle.linux["netDevices"]["nosuch0"] = {}
    elif name == "loopback":
        bundle.linux["netDevices"]["lo"] = {"name": "lo9"}
    else:
        bundle.without_namespace("network")
    rejected(runtime, bundle)
    assert "trial0" in host.devices()


@covers(ROW + "2", ROW + "3")
def test_a_name_that_no_device_can_have_is_refused(
    runtime: Runtime, make_bundle: Callable[[], Bundle], rejected: Rejected, host: HostNetwork
) -> None:
    """Names that the kernel refuses: 16 bytes or more, slash, colon, blank, dots, a per cent sign without its d."""
    report_or_skip(runtime, moving(make_bundle(), spare0={"name": "x" * 15}))
    for name in ("x" * 16, "a/b", "a:b", "a b", "..", "a%s"):
        rejected(runtime, moving(make_bundle(), trial0={"name": name}))
        assert "trial0" in host.devices(), f"after the refusal of {name}"


@covers(ROW + "4")
def test_a_name_that_is_taken_is_refused(
    runtime: Runtime,
    bundle: Bundle,
    make_bundle: Callable[[], Bundle],
    rejected: Rejected,
    host: HostNetwork,
    other: OtherNetwork,
) -> None:
    """A device of that name in the container's namespace: an error, and the device is on the host as it was."""
    host.ip("address", "add", "192.0.2.7/24", "dev", "trial0")
    before = other.devices()
    report_or_skip(runtime, moving(make_bundle(), spare0={"name": "eth0"}))
    bundle.namespace("network", other.path)
    rejected(runtime, moving(bundle, trial0={"name": "eth0"}))
    assert permanent(host.devices(), "trial0") == ["192.0.2.7/24"]
    assert set(other.devices()) == set(before)


@covers(ROW + "5", LIFECYCLE + "2")
def test_the_kernel_numbers_a_name_with_a_template(
    runtime: Runtime, bundle: Bundle, host: HostNetwork, other: OtherNetwork
) -> None:
    """eth%d where eth0 exists is eth1; after the container's end the device stays in the namespace it joined."""
    host.ip("address", "add", "192.0.2.7/24", "dev", "trial0")
    bundle.namespace("network", other.path)
    found = report_or_skip(runtime, moving(bundle, trial0={"name": "eth%d"}))
    assert device(found, "eth1")["up"]
    assert "192.0.2.7" in addresses(found, "eth1")
    left = other.devices()
    assert permanent(left, "eth1") == ["192.0.2.7/24"]
    assert "trial0" not in host.devices()


@covers(LIFECYCLE + "1")
def test_the_runtime_leaves_the_device_alone_later(
    runtime: Runtime, bundle: Bundle, host: HostNetwork, other: OtherNetwork
) -> None:
    """What is changed inside after create is still so after start and kill: the runtime does not manage the device."""
    host.ip("address", "add", "192.0.2.7/24", "dev", "trial0")
    bundle.namespace("network", other.path)
    container = create_or_skip(runtime, moving(bundle.probe("hold", report=False), trial0={"name": "ctr0"}))
    assert permanent(other.devices(), "ctr0") == ["192.0.2.7/24"]
    other.ip("link", "set", "ctr0", "mtu", "1290", "down")
    other.ip("address", "flush", "dev", "ctr0")
    container.start()
    _is_as_left(other)
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    _is_as_left(other)


def _is_as_left(other: OtherNetwork) -> None:
    found = other.devices()
    assert found["ctr0"]["mtu"] == 1290
    assert "UP" not in found["ctr0"]["flags"]
    assert permanent(found, "ctr0") == []
