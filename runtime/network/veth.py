"""veth pairs of library containers: one end on the host, perhaps in a bridge, the other in the container (veth(4))."""

from __future__ import annotations

import socket

from seatrial.runtime.errors import SyscallError
from seatrial.runtime.network.route import Route, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import Network


def connect(network: Network, namespace: int) -> tuple[str, int]:
    """Make a pair for the container whose network namespace is behind a descriptor; both ends are up.

    Returns the host end's name and index.  Raises SyscallError, with nothing left behind.
    """
    with Route() as here, Route(namespace) as there:
        size = [("IFLA_MTU", network.mtu)] if network.mtu else []
        peer: list[tuple[str, object]] = [("IFLA_IFNAME", network.name), ("IFLA_NET_NS_FD", namespace), *size]
        if network.mac_address:
            peer.append(("IFLA_ADDRESS", network.mac_address))
        pair = {
            "attrs": [
                ("IFLA_INFO_KIND", "veth"),
                ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": peer})]}),
            ]
        }
        bridge = _bridge(here, network.bridge)
        with Step("make the veth pair", f"{network.host_name} with {network.name} in the container"):
            here.create([("IFLA_IFNAME", network.host_name), ("IFLA_LINKINFO", pair), *bridge, *size])
        host = 0
        try:
            with Step("look up the network device", network.host_name):
                host = _index(here, network.host_name)
            with Step("look up the container's network device", network.name):
                inside = _index(there, network.name)
            _configure(there, inside, network)
            with Step("bring up", network.host_name):
                here.change(host, up=True)
            _route(there, inside, network)
        except BaseException:
            if host:
                here.delete(host)
            raise
        return network.host_name, host


def remove(interfaces: list[tuple[str, int]], warn: Callable[[str], None]) -> None:
    """Remove host ends, and with them the pairs.  One that is gone, or whose name another device has now, is fine."""
    with Route() as here:
        for name, index in interfaces:
            try:
                link = here.link(name)
                if link is not None and link.index == index:
                    here.delete(index)
            except OSError as error:
                if error.errno != 19:  # ENODEV: the end of the namespace took it meanwhile
                    warn(str(SyscallError.of("remove the network device", name, error)))


def _bridge(here: Route, name: str) -> list[tuple[str, object]]:
    if not name:
        return []
    with Step("look up the bridge", name):
        return [("IFLA_MASTER", _index(here, name))]


def _index(route: Route, name: str) -> int:
    link = route.link(name)
    if link is None:
        raise OSError(19, "No such device")
    return link.index


def _configure(there: Route, index: int, network: Network) -> None:
    if network.address:
        import ipaddress

        interface = ipaddress.ip_interface(network.address)
        address = str(interface.ip)
        attributes = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
        if interface.version == 4 and interface.network.prefixlen < 31:
            attributes.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
        family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
        with Step("add the address", f"{network.address} to {network.name} in the container"):
            there.add_address(index, family, interface.network.prefixlen, 0, attributes)
    with Step("bring up in the container", network.name):
        there.change(index, up=True)


def _route(there: Route, index: int, network: Network) -> None:
    if network.gateway:
        with Step("add the default route", f"through {network.gateway} in the container"):
            there.add_default(index, network.gateway)
