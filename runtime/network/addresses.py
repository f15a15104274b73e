"""Addresses of a network device: reading them before it loses them, and giving them back."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.network.route import Route

IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
# What an administrator may ask for; the others are the kernel's own findings (tentative, deprecated ...).
_SETTABLE = 0x02 | 0x10 | 0x100 | 0x200 | 0x400  # NODAD HOMEADDRESS MANAGETEMPADDR NOPREFIXROUTE MCAUTOJOIN
_KEPT = ("IFA_ADDRESS", "IFA_LOCAL", "IFA_BROADCAST", "IFA_RT_PRIORITY")


class Address:
    """One permanent address with what belongs to it: peer, broadcast address, flags, metric."""

    def __init__(self, message: Any) -> None:
        self.family = int(message["family"])
        self.prefix = int(message["prefixlen"])
        self.scope = int(message["scope"])
        flags = message.get_attr("IFA_FLAGS")
        self.flags = int(message["flags"] if flags is None else flags)
        self.attributes = [
            (name, message.get_attr(name)) for name in _KEPT if message.get_attr(name) not in (None, "")
        ]

    @property
    def text(self) -> str:
        """For messages: ``10.0.0.1/24``."""
        named = dict(self.attributes)
        return f"{named.get('IFA_LOCAL') or named.get('IFA_ADDRESS')}/{self.prefix}"

    def add(self, route: Route, index: int) -> None:
        """Give it to a device.  Raises OSError."""
        attributes = [*self.attributes, ("IFA_FLAGS", self.flags & _SETTABLE)]
        route.add_address(index, self.family, self.prefix, self.scope, attributes)


def permanent_addresses(route: Route, index: int) -> list[Address]:
    """The addresses of a device that have no end of life, in the kernel's order."""
    found = [Address(message) for message in route.addresses(index)]
    return [address for address in found if address.flags & IFA_F_PERMANENT]
