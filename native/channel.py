"""Unix sockets that carry the executor's messages and descriptors.

A message is one SOCK_SEQPACKET packet: u32 kind, u32 operation index, i32 value, i32 errno, then text
(`operations.MESSAGE_*`).  Python's socket module is not used: importing it takes longer than a container's start.
"""

from __future__ import annotations

import struct

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import checked, encoded, uncleared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SOCK_STREAM = 1
SOCK_DGRAM = 2
SOCK_SEQPACKET = 5
SOCK_NONBLOCK = 0o4000
MSG_TRUNC = 0x20
MSG_CTRUNC = 0x08

MAX_TEXT = 65536
MAX_FDS = 32

_HEADER = struct.Struct("=IIii")


def socketpair(type: int = SOCK_SEQPACKET) -> tuple[int, int]:
    """Two connected Unix sockets."""
    pair = ffi.new("int[2]")
    checked(lib.seatrial_socketpair(type, pair), "socketpair")
    return pair[0], pair[1]


def listen(path: str | bytes, type: int = SOCK_SEQPACKET, backlog: int = 4) -> int:
    """A Unix socket at a path of at most 107 bytes (longer: ENAMETOOLONG; use /proc/self/fd/N/name), which listens
    unless it is of type SOCK_DGRAM."""
    return checked(lib.seatrial_unix_listen(encoded(path), type, backlog), "bind", path)


def connect(path: str | bytes, type: int = SOCK_SEQPACKET) -> int:
    """A Unix socket connected to a path of at most 107 bytes, or to an abstract name after ``@`` (unix(7))."""
    return checked(lib.seatrial_unix_connect(encoded(path), type), "connect", path)


def accept(fd: int) -> int:
    """accept4(2)."""
    return checked(lib.seatrial_accept(fd), "accept4", f"fd {fd}")


def send(fd: int, data: bytes, fds: Sequence[int] = ()) -> None:
    """sendmsg(2) of one packet with up to 32 descriptors; BrokenPipeError (no signal) when the peer is gone."""
    _sendmsg(fd, data, list(fds))


def send_all(fd: int, data: bytes, fds: Sequence[int] = ()) -> None:
    """Send all of `data` on a stream socket, the descriptors with its first part; errors as of `send`."""
    left, passed = data, list(fds)
    while left or passed:
        left = left[_sendmsg(fd, left, passed) :]
        passed = []


def _sendmsg(fd: int, data: bytes, fds: list[int]) -> int:
    """The bytes that were taken."""
    result = -4
    while result == -4:  # EINTR: Python's handlers have run
        result = lib.seatrial_send(fd, data, len(data), fds, len(fds))
    return checked(result, "sendmsg", f"fd {fd}")


def receive(fd: int, limit: int = MAX_TEXT) -> tuple[bytes, list[int]]:
    """recvmsg(2): one packet and its descriptors (the caller closes them); (b"", []) at the end of file.

    Raises OSError EMSGSIZE, and closes the descriptors, when the packet did not fit.
    """
    buffer = uncleared("char[]", limit)
    fds = ffi.new("int[]", MAX_FDS)
    result = ffi.new("int[2]")
    got = checked(lib.seatrial_receive(fd, buffer, limit, fds, MAX_FDS, result), "recvmsg", f"fd {fd}")
    received = [fds[i] for i in range(result[0])]
    if result[1] & (MSG_TRUNC | MSG_CTRUNC):
        for one in received:
            lib.seatrial_close_range(one, one, 0)
        checked(-90, "recvmsg", f"fd {fd}")  # EMSGSIZE
    return ffi.buffer(buffer, got)[:], received


class Message:
    """One message of the executor protocol; `fds` belong to the receiver."""

    __slots__ = ("error", "fds", "kind", "operation", "text", "value")

    def __init__(self, kind: int, operation: int, value: int, error: int, text: bytes, fds: list[int]) -> None:
        self.kind = kind
        self.operation = operation
        self.value = value
        self.error = error
        self.text = text
        self.fds = fds

    def __repr__(self) -> str:
        return f"Message({self.kind}, {self.operation}, {self.value}, {self.error}, {self.text!r}, {self.fds})"


def send_message(
    fd: int, kind: int, operation: int = 0, value: int = 0, error: int = 0, text: bytes = b"", fds: Sequence[int] = ()
) -> None:
    """Send one message; see `send`."""
    send(fd, _HEADER.pack(kind, operation, value, error) + text, fds)


def receive_message(fd: int) -> Message | None:
    """Wait for one message; None at the end of file.  Raises OSError EBADMSG for a packet shorter than a header.

    InterruptedError and BlockingIOError are passed on, as from `receive`; ConnectionResetError counts as end of file.
    """
    try:
        data, fds = receive(fd, _HEADER.size + MAX_TEXT)
    except ConnectionResetError:  # the peer died with unread messages of ours
        return None
    if not data:
        return None
    if len(data) < _HEADER.size:
        checked(-74, "recvmsg", f"{len(data)} bytes on fd {fd}")  # EBADMSG
    kind, operation, value, error = _HEADER.unpack_from(data)
    return Message(kind, operation, value, error, data[_HEADER.size :], fds)
