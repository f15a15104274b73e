"""A seccomp agent: takes container process states at a listenerPath, and answers notifications (seccomp_unotify(2))."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Any

from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_...: _IOWR('!', 0, 80 bytes), _IOWR('!', 1, 24)
NOTIFICATION = struct.Struct("QIIiIQ6Q")  # struct seccomp_notif
RESPONSE = struct.Struct("QqiI")  # struct seccomp_notif_resp
PATIENCE = 2.0  # seconds; what a runtime sends is there when its command has ended


class Connection:
    """What came over one connection: `messages` are (data, descriptors) of each recvmsg(2); `ended` at its end."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, list[int]]] = []
        self.ended = threading.Event()

    @property
    def fds(self) -> list[int]:
        """All descriptors."""
        return [fd for _, fds in self.messages for fd in fds]

    def state(self) -> dict[str, Any]:
        """The container process state; Finding unless the other end closed the connection after one JSON object."""
        if not self.ended.wait(patience(PATIENCE)):
            raise Finding("the runtime keeps the connection to the seccomp agent open")
        data = b"".join(part for part, _ in self.messages)
        try:
            value = json.loads(data)
        except ValueError as error:
            raise Finding(f"no JSON came to the seccomp agent ({error}): {data[:300]!r}") from error
        if not isinstance(value, dict):
            raise Finding("what came to the seccomp agent is not a JSON object")
        return value

    def notify_fd(self) -> int:
        """The descriptor whose place among the names in `fds` is that of seccompFd."""
        names = self.state().get("fds")
        if not isinstance(names, list) or "seccompFd" not in names:
            raise Finding(f"no seccompFd among the names of the descriptors: {names!r}")
        if len(names) != len(self.fds):
            raise Finding(f"{len(self.fds)} descriptors came with the names {names!r}")
        return self.fds[names.index("seccompFd")]

    def answer(self, error: int = 0, value: int = 0) -> tuple[int, tuple[int, ...]]:
        """Answer one notification, with an errno or a return value: (number, arguments) of the call.  Finding when none
        comes, or the descriptor is none for notifications."""
        fd = self.notify_fd()
        if not select.select([fd], [], [], patience(PATIENCE))[0]:
            raise Finding("no notification came")
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(fd, NOTIF_RECV, buffer)
            cookie, _, _, number, _, _, *arguments = NOTIFICATION.unpack(buffer)
            fcntl.ioctl(fd, NOTIF_SEND, bytearray(RESPONSE.pack(cookie, value, -error, 0)))
        except OSError as failure:
            raise Finding(f"seccompFd cannot be used: {errno.errorcode.get(failure.errno or 0)}") from failure
        return number, tuple(arguments)


class Agent:
    """Listens at `path` and reads every connection to its end, in threads.  A context manager."""

    def __init__(self, path: str, type: int = socket.SOCK_STREAM) -> None:
        self.path = path
        self.connections: list[Connection] = []
        self.listener = socket.socket(socket.AF_UNIX, type | socket.SOCK_CLOEXEC)
        self.listener.bind(path)
        if type != socket.SOCK_DGRAM:
            self.listener.listen(8)
            threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.listener.type == socket.SOCK_STREAM:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends accept(2) of the thread
        self.listener.close()
        for connection in self.connections:
            for fd in connection.fds:
                os.close(fd)

    def connection(self, index: int = 0) -> Connection:
        """The connection of that number, from 0; Finding when it does not come."""
        deadline = time.monotonic() + patience(PATIENCE)
        while len(self.connections) <= index:
            if time.monotonic() > deadline:
                raise Finding(f"{len(self.connections)} connections came to the seccomp agent, not {index + 1}")
            time.sleep(0.001)
        return self.connections[index]

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection()
            self.connections.append(connection)
            threading.Thread(target=_read, args=(peer, connection), daemon=True).start()


def _read(peer: socket.socket, connection: Connection) -> None:
    room = socket.CMSG_SPACE(16 * 4)
    with peer:
        while True:
            try:
                data, ancillary, _, _ = peer.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            fds = array.array("i")
            for level, kind, part in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(part)
            if not data and not fds:
                break
            connection.messages.append((data, list(fds)))
    connection.ended.set()
