"""rtnetlink(7): requests to the kernel's network configuration, in this namespace or in another one.

pyroute2 knows the formats of the messages; its IPRoute and NetNS are not used: the one runs an event loop, which fails
inside a running one, the other forks or moves the calling thread.  A socket that was made in a namespace
(`seatrial.native.syscall.netlink_socket`) is all that it takes to work there.  The import takes long, so this module is
for those who have network devices.
"""

from __future__ import annotations

import os
import socket
import sys

if sys.flags.no_site and "pyroute2" not in sys.modules:
    # The launcher's process, in which nobody else uses pyroute2: its formats alone take a fifth of the time that the
    # whole of it takes, which is what its package imports.
    from _frozen_importlib_external import PathFinder

    _spec = PathFinder.find_spec("pyroute2")
    if _spec is not None and _spec.submodule_search_locations is not None:
        _package = sys.modules["pyroute2"] = type(sys)("pyroute2")
        _package.__path__ = _spec.submodule_search_locations

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from seatrial.native import syscall
from seatrial.runtime.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_GETADDR = 22
RTM_NEWROUTE = 24
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
IFF_UP = 0x1
IFF_LOOPBACK = 0x8

class _Formats(Marshal):  # type: ignore[misc]
    """The messages that come in reply to ours."""

    msg_map = {RTM_NEWLINK: ifinfmsg, RTM_NEWADDR: ifaddrmsg}


_DONE = 3
_ERROR = 2
_DUMP_INTERRUPTED = 0x10
_SOL_NETLINK = 270
_EXTENDED_ACK = 11  # NETLINK_EXT_ACK, Linux 4.12: the kernel's sentence with an error
_TRIES = 16


class Step:
    """A with block whose OSError becomes a SyscallError: what was tried, on what, the kernel's sentence as the hint."""

    def __init__(self, call: str, object: str = "") -> None:
        self.call = call
        self.object = object

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        if isinstance(error, OSError):
            told = (error.strerror or "").partition(": ")[2]
            raise SyscallError.of(self.call, self.object, error, told) from None


class Link:
    """A network device as the kernel describes it."""

    def __init__(self, message: Any) -> None:
        self.index = int(message["index"])
        self.flags = int(message["flags"])
        self.name = str(message.get_attr("IFLA_IFNAME"))
        self.address = str(message.get_attr("IFLA_ADDRESS") or "")

    @property
    def up(self) -> bool:
        """Whether it is administratively up."""
        return bool(self.flags & IFF_UP)

    @property
    def loopback(self) -> bool:
        """Whether it is a loopback device, which cannot leave its namespace."""
        return bool(self.flags & IFF_LOOPBACK)


class Route:
    """A socket of rtnetlink.  Close it, or use it in a with statement.  Not for several threads at once.

    Its methods raise OSError with the kernel's errno; `strerror` has the kernel's sentence where it gave one.
    """

    def __init__(self, namespace: int = -1) -> None:
        """Open the socket in the namespace behind a descriptor; -1: in the calling thread's."""
        self._socket = socket.socket(fileno=syscall.netlink_socket(socket.NETLINK_ROUTE, namespace))
        self._marshal = _Formats()
        self._sequence = 0
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _EXTENDED_ACK, 1)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Route:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def links(self) -> list[Link]:
        """Every device."""
        return [Link(message) for message in self._dump(ifinfmsg(), RTM_GETLINK)]

    def link(self, name: str) -> Link | None:
        """The device of this name, or None."""
        try:
            return Link(self._link(RTM_GETLINK, 0, 0, [("IFLA_IFNAME", name)])[0])
        except OSError as error:
            if error.errno == 19:  # ENODEV
                return None
            raise

    def create(self, attributes: Sequence[tuple[str, object]]) -> None:
        """Make a device from IFLA_* attributes; FileExistsError when its name is taken."""
        self._link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, attributes)

    def change(self, index: int, attributes: Sequence[tuple[str, object]] = (), *, up: bool | None = None) -> None:
        """Change a device: IFLA_* attributes in one request, or its state."""
        self._link(RTM_NEWLINK, 0, index, attributes, up)

    def delete(self, index: int) -> None:
        """Remove a device; of a pair both go."""
        self._link(RTM_DELLINK, 0, index, [])

    def addresses(self, index: int) -> list[Any]:
        """The addresses of a device: pyroute2's ifaddrmsg."""
        return [message for message in self._dump(ifaddrmsg(), RTM_GETADDR) if message["index"] == index]

    def add_address(
        self, index: int, family: int, prefix: int, scope: int, attributes: Sequence[tuple[str, object]]
    ) -> None:
        """Give a device an address from IFA_* attributes; one that it has already is replaced."""
        message = ifaddrmsg()
        message["index"] = index
        message["family"] = family
        message["prefixlen"] = prefix
        message["scope"] = scope
        message["attrs"] = list(attributes)
        self._request(message, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)

    def add_default(self, index: int, gateway: str) -> None:
        """A default route through a gateway."""
        message = rtmsg()
        message["family"] = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        message["table"] = 254  # main
        message["proto"] = 3  # RTPROT_BOOT
        message["type"] = 1  # RTN_UNICAST
        message["attrs"] = [("RTA_GATEWAY", gateway), ("RTA_OIF", index)]
        self._request(message, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

    def _link(
        self, type: int, flags: int, index: int, attributes: Sequence[tuple[str, object]], up: bool | None = None
    ) -> list[Any]:
        message = ifinfmsg()
        message["index"] = index
        message["attrs"] = list(attributes)
        if up is not None:
            message["change"] = IFF_UP
            message["flags"] = IFF_UP if up else 0
        return self._request(message, type, flags | NLM_F_ACK)

    def _dump(self, message: Any, type: int) -> list[Any]:
        """A list that nothing changed while it was made (NLM_F_DUMP_INTR), if that is to be had."""
        found: list[Any] = []
        for _ in range(_TRIES):
            found = self._request(message, type, NLM_F_DUMP)
            if not any(each["header"]["flags"] & _DUMP_INTERRUPTED for each in found):
                break
            message.reset()
        return found

    def _request(self, message: Any, type: int, flags: int) -> list[Any]:
        self._sequence += 1
        header = message["header"]
        header["type"] = type
        header["flags"] = NLM_F_REQUEST | flags
        header["sequence_number"] = self._sequence
        message.encode()
        # With an address: the kernel then asks for the sender's capabilities, not for those of the socket's maker.
        self._socket.sendto(bytes(message.data), (0, 0))
        found: list[Any] = []
        while True:
            for reply in self._marshal.parse(self._socket.recv(1 << 17)):
                kind = reply["header"]["type"]
                if reply["header"]["sequence_number"] != self._sequence:
                    continue
                problem = reply["header"].get("error")
                if isinstance(problem, NetlinkError):
                    text = os.strerror(problem.code)
                    told = reply.get_attr("NLMSGERR_ATTR_MSG") if kind == _ERROR else None
                    raise OSError(problem.code, f"{text}: {told}" if told else text)
                if problem is not None:
                    raise problem
                if kind in (_DONE, _ERROR):
                    return found
                found.append(reply)
