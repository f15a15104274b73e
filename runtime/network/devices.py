"""Moving network devices from the runtime's namespace into the container's (config-linux.md#network-devices).

A device loses its addresses and its state when it changes namespaces, and nothing else that belongs to it: MTU,
hardware address, queue length and alias go with it.  So its permanent addresses are read before, those of global scope
are given back after, and it is brought up.  Nothing is undone when the container ends: the device stays in its
namespace, and the kernel returns a physical one when that namespace goes away.
"""

from __future__ import annotations

import os

from seatrial.runtime.document import member
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.network.addresses import RT_SCOPE_UNIVERSE, Address, permanent_addresses
from seatrial.runtime.network.route import Link, Route, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import NetDevice

_WHERE = "linux.netDevices"


class Move:
    """One device on its way, with what it takes to bring it home."""

    def __init__(self, source: Link, name: str, addresses: list[Address]) -> None:
        self.source = source
        self.name = name  # in the container: may end in %d, which the kernel replaces
        self.addresses = addresses
        self.index = 0  # in the container; 0: not there


class DeviceMoves:
    """The devices of one container.  `perform` moves all of them or none; `give_back` undoes it."""

    def __init__(self, devices: dict[str, NetDevice], namespace: int) -> None:
        self.devices = devices
        self.namespace = namespace  # descriptor of the container's network namespace; the caller's to close
        self.moves: list[Move] = []

    def perform(self, warn: Callable[[str], None]) -> None:
        """Check every move, then make them.

        Raises ConfigError for a device that cannot be moved, before anything is changed, and SyscallError for a step
        that failed, when everything is back in its place.
        """
        with Route() as here, Route(self.namespace) as there:
            moves = [self._prepare(here, there, name, device.name or name) for name, device in self.devices.items()]
            try:
                for move in moves:
                    self.moves.append(move)
                    self._move(here, there, move)
            except BaseException:
                self._give_back(here, there, warn)
                raise

    def give_back(self, warn: Callable[[str], None]) -> None:
        """Return what was moved; what fails is said to `warn`."""
        if not self.moves:
            return
        try:
            with Route() as here, Route(self.namespace) as there:
                self._give_back(here, there, warn)
        except OSError as error:
            warn(f"cannot return the network devices {', '.join(self.devices)}: {error}")

    def _prepare(self, here: Route, there: Route, name: str, target: str) -> Move:
        """What can be known before anything is touched."""
        where = member(_WHERE, name)
        with Step("look up the network device", name):
            link = here.link(name)
        if link is None:
            raise ConfigError(where, "no such device in the runtime's network namespace", "`ip link` lists them")
        if link.loopback:
            raise ConfigError(where, "a loopback device cannot leave its network namespace")
        if os.path.samestat(os.stat("/proc/thread-self/ns/net"), os.fstat(self.namespace)):
            raise ConfigError(where, "the container is to have the runtime's own network namespace")
        with Step("look up the container's network device", target):
            taken = "%" not in target and there.link(target) is not None
        if taken:
            raise ConfigError(where, f"the container's network namespace has a device {target} already")
        with Step("list the addresses of", name):
            return Move(link, target, permanent_addresses(here, link.index))

    def _move(self, here: Route, there: Route, move: Move) -> None:
        name = move.source.name
        with Step("list the container's network devices"):
            before = {link.index for link in there.links()}
        with Step("bring down", name):
            here.change(move.source.index, up=False)
        # In one request, so that the name never clashes with one that the container has.
        request = [("IFLA_NET_NS_FD", self.namespace), ("IFLA_IFNAME", move.name)]
        try:
            with Step("move to the container", name if move.name == name else f"{name} as {move.name}"):
                here.change(move.source.index, request)
        finally:
            # Also when it failed: the kernel moves a device first and renames it then.
            move.index = self._arrived(there, move, before)
        for address in move.addresses:
            if address.scope == RT_SCOPE_UNIVERSE:
                with Step("add the address", f"{address.text} to {name} in the container"):
                    address.add(there, move.index)
        with Step("bring up in the container", name):
            there.change(move.index, up=True)

    @staticmethod
    def _arrived(there: Route, move: Move, before: set[int]) -> int:
        """The index of the device in the container; it may differ from the old one.  0: it is not there."""
        new = [link for link in there.links() if link.index not in before]
        same = [link for link in new if link.address == move.source.address]
        named = [link for link in same if link.name in (move.name, move.source.name)]
        return next((link.index for link in named or same), 0)

    def _give_back(self, here: Route, there: Route, warn: Callable[[str], None]) -> None:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while self.moves:
                move = self.moves.pop()
                try:
                    self._return(here, there, move, home)
                except OSError as error:
                    warn(f"cannot return the network device {move.source.name} to the host: {error}")
        finally:
            os.close(home)

    @staticmethod
    def _return(here: Route, there: Route, move: Move, home: int) -> None:
        name = move.source.name
        if move.index:
            there.change(move.index, up=False)
            there.change(move.index, [("IFLA_NET_NS_FD", home), ("IFLA_IFNAME", name)])
        link = here.link(name)
        if link is None:
            raise FileNotFoundError(2, "it is gone", name)
        for address in move.addresses:
            address.add(here, link.index)
        if move.source.up:
            here.change(link.index, up=True)
