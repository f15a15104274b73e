"""The loopback interface of a network namespace that CRIU restored empty.  netdevice(7)."""

from __future__ import annotations

import os
import struct

from seatrial.native.syscall import netlink_socket
from seatrial.runtime.errors import SyscallError

_GET_FLAGS = 0x8913  # SIOCGIFFLAGS
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS
_UP = 1
_NETLINK_ROUTE = 0


def bring_up(path: str) -> None:
    """Bring ``lo`` up in the namespace of that path, as `create` does.  Raises SyscallError."""
    import fcntl

    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            socket = netlink_socket(_NETLINK_ROUTE, namespace)  # any socket will do
        finally:
            os.close(namespace)
        try:
            request = bytearray(struct.pack("16sh22x", b"lo", 0))
            fcntl.ioctl(socket, _GET_FLAGS, request)
            flags = struct.unpack_from("16sh", request)[1]
            fcntl.ioctl(socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))
        finally:
            os.close(socket)
    except OSError as error:
        raise SyscallError.of("bring up", f"lo in {path}", error) from None
