"""A user at a terminal: an engine's command on a pty of ours."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time

SECONDS = 30


class Terminal:
    """A command whose terminal we are: type, and wait for what it shows."""

    def __init__(self, argv: list[str], env: dict[str, str], rows: int, columns: int) -> None:
        self.master, slave = os.openpty()
        self.seen = ""
        self._set_size(rows, columns)
        self.process = subprocess.Popen(
            argv, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_take_terminal
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self.master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def expect(self, text: str) -> None:
        """Wait until the screen shows a text, and forget what came before its end."""
        assert self._shows(text, SECONDS), f"{text!r} does not appear in {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def _shows(self, text: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self.master], [], [], max(deadline - time.monotonic(), 0))[0]:
                return False
            try:
                got = os.read(self.master, 4096)
            except OSError:
                got = b""
            assert got, f"{text!r} does not appear in {self.seen!r}, and the command has ended"
            self.seen += got.decode("utf-8", "replace")
        return True

    def resize(self, rows: int, columns: int) -> None:
        """Change the window, as a terminal emulator does, and wait until the shell in it has the new size.

        The command is told of it more than once: engines begin to listen some time after the shell has begun.
        """
        self._set_size(rows, columns)
        self.type(f"until [ \"$(stty size)\" = '{rows} {columns}' ]; do sleep 0.1; done; echo re''sized\n")
        deadline = time.monotonic() + SECONDS
        while not self._shows("resized", 0.5) and time.monotonic() < deadline:
            os.killpg(self.process.pid, signal.SIGWINCH)
        self.expect("resized")

    def status(self) -> int:
        """Wait for the command's end, while its output goes nowhere; its exit status."""
        deadline = time.monotonic() + SECONDS
        while (status := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"the command does not end: {self.seen!r}"
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 4096).decode("utf-8", "replace")
                except OSError:
                    time.sleep(0.05)
        return status

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
