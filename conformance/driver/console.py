"""The other end of `--console-socket`: a listener that takes the master of a container's terminal.

A runtime connects to the socket and sends one SCM_RIGHTS message with the master (the convention of runc's
docs/terminals.md; the runtime-spec has none).
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
import time
from types import TracebackType

from seatrial.conformance.driver.execute import tail
from seatrial.conformance.errors import EnvironmentProblem, Finding

MOST_DESCRIPTORS = 8  # room for more than the one that may come, so that more are noticed


class Terminal:
    """The master of a container's terminal.  `text` is everything read from it so far, with CR LF as LF."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name  # what the runtime sent along, usually the path of the slave
        self.text = ""

    def size(self) -> tuple[int, int]:
        """(rows, columns), TIOCGWINSZ; Finding when this is no terminal."""
        try:
            answer = fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * 8)
        except OSError as error:
            raise Finding(f"what came over the console socket is no terminal: {error.strerror}") from error
        rows, columns = struct.unpack("HHHH", answer)[:2]
        return rows, columns

    def resize(self, rows: int, columns: int) -> None:
        """Set the size (TIOCSWINSZ); the foreground process group gets SIGWINCH."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, text: str) -> None:
        """Type a text."""
        os.write(self.fd, text.encode())

    def read_until(self, wanted: str, timeout: float = 5.0) -> str:
        """Read until the text has `wanted`; Finding after `timeout` seconds, or when the terminal is hung up before."""
        deadline = time.monotonic() + timeout
        while wanted not in self.text:
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise Finding(f"the terminal shows no {wanted!r}: {tail(self.text, 500)!r}")
        return self.text

    def read_to_end(self, timeout: float = 5.0) -> str:
        """Read until the last process with the slave has gone; Finding after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                return self.text
        raise Finding(f"the terminal is still open after {timeout:g} s: {tail(self.text, 500)!r}")

    def _read(self, seconds: float) -> bool:
        """One read; False at the hang-up (EIO, pty(7))."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        return bool(data)

    def close(self) -> None:
        """Hang up."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class ConsoleSocket:
    """A listening unix stream socket at `path`, for `--console-socket`.  As a context manager it closes everything that
    came.  EnvironmentProblem when the path is too long for unix(7)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.terminals: list[Terminal] = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.listener.bind(path)
        except OSError as error:
            self.listener.close()
            raise EnvironmentProblem(f"cannot listen at {path}: {error}") from error
        self.listener.listen(4)

    def __enter__(self) -> ConsoleSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for terminal in self.terminals:
            terminal.close()
        self.listener.close()

    def waiting(self) -> bool:
        """Whether somebody has connected whom receive() has not served."""
        return bool(select.select([self.listener], [], [], 0)[0])

    def receive(self, timeout: float = 1.0) -> Terminal:
        """The terminal that a runtime sends, which it has done when create has ended; Finding unless it is exactly one
        descriptor, in one connection."""
        self.listener.settimeout(timeout)
        try:
            connection, _ = self.listener.accept()
        except TimeoutError:
            raise Finding(f"nobody connected to the console socket within {timeout:g} s") from None
        with connection:
            connection.settimeout(timeout)
            room = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
            try:
                payload, ancillary, _, _ = connection.recvmsg(4096, room, socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                raise Finding(f"nothing came over the console socket within {timeout:g} s") from None
        numbers = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
        name = payload.decode("utf-8", "backslashreplace")
        self.terminals += [Terminal(number, name) for number in numbers]
        if len(numbers) != 1:
            raise Finding(f"{len(numbers)} descriptors came over the console socket, not 1")
        return self.terminals[-1]
