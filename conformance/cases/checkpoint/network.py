"""A network namespace that is there before the container and after it, as engines make one."""

from __future__ import annotations

import os
import socket

from seatrial.conformance.driver.network import KeptNetwork
from seatrial.native import syscall


class LastingNetwork(KeptNetwork):
    """Its loopback device is up, and has an address that nobody else has."""

    def __init__(self) -> None:
        super().__init__("ip link set lo up && ip address add 10.11.12.13/32 dev lo")

    def datagrams(self, path: str) -> socket.socket:
        """A unix socket of this namespace, bound to a path.  Close it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        here = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscall.setns(here, syscall.CLONE_NEWNET)
            try:
                made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            finally:
                syscall.setns(home, syscall.CLONE_NEWNET)
        finally:
            os.close(home)
            os.close(here)
        made.bind(path)
        return made
