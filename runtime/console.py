"""Terminals: handing the master of the container's pty to a console socket, or relaying it to the caller's terminal."""

from __future__ import annotations

import os

from seatrial.native import channel
from seatrial.runtime.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.process import Process


def send_master(connection: int, master: int, name: str) -> None:
    """Send the master over the console socket: one message, the pty's name as payload, one descriptor (SCM_RIGHTS)."""
    try:
        channel.send(connection, name.encode() or b"/dev/console", [master])
    except OSError as error:
        raise SyscallError.of("sendmsg to the console socket", "", error) from None


def hand_over(connection: int, process: Process, name: str) -> None:
    """Send a process's master over the console socket and close ours.  Raises SyscallError."""
    send_master(connection, process.master, name)
    os.close(process.master)
    process.master = -1


class Relay:
    """Copies between the caller's terminal (fds 0 and 1) and a pty master until the program has gone.

    The caller's terminal is raw while the relay is open, and its window size is the pty's.
    """

    def __init__(self, master: int) -> None:
        self.master = master
        self.saved: list[object] | None = None
        self.pending_in = b""
        self.input_open = True
        if os.isatty(0):
            import termios

            self.saved = termios.tcgetattr(0)
            raw = termios.tcgetattr(0)
            raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
            raw[1] &= ~termios.OPOST
            raw[2] = (raw[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            raw[6][termios.VMIN] = 1
            raw[6][termios.VTIME] = 0
            termios.tcsetattr(0, termios.TCSAFLUSH, raw)
            self.resize()

    def resize(self) -> None:
        """Give the pty the size of the caller's terminal."""
        if self.saved is None:
            return
        import fcntl
        import termios

        try:
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        except OSError:  # a terminal without a size
            pass

    def input(self) -> None:
        """Copy what the caller typed; at its end send the line discipline's end-of-file character."""
        data = os.read(0, 4096)
        if not data:
            self.input_open = False
            data = b"\x04"
        view = memoryview(data)
        while view:
            view = view[os.write(self.master, view) :]

    def output(self) -> bool:
        """Copy what the program wrote.  False when the last slave is closed (EIO)."""
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
        return bool(data)

    def close(self) -> None:
        """Restore the caller's terminal and close the master."""
        if self.saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)  # type: ignore[arg-type]
            self.saved = None
        os.close(self.master)
