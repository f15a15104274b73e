"""A caller with a terminal: a runtime command in the foreground of a pseudo-terminal of ours."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Any

from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import tail
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

SECONDS = 8.0


class Caller:
    """Runs `RUNTIME WORDS...` as the leader of a session whose terminal is ours; as a context manager it ends what is
    left of it.  Standard input and error are that terminal, and so is the output unless `pipe` asks for a pipe,
    which is then read by `take`."""

    def __init__(self, runtime: Runtime, *words: str, size: tuple[int, int] = (24, 80), pipe: bool = False) -> None:
        self.runtime = runtime
        self.words = words
        self.text = b""
        self.master, self.slave = os.openpty()
        self.resize(*size)
        self.settings = termios.tcgetattr(self.slave)
        self.read_end, write_end = os.pipe2(os.O_CLOEXEC) if pipe else (-1, -1)
        self.process = subprocess.Popen(
            [runtime.path, "--root", runtime.root, *words],
            stdin=self.slave,
            stdout=write_end if pipe else self.slave,
            stderr=self.slave,
            env=runtime.env,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        if pipe:
            os.close(write_end)

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self.master, self.slave, self.read_end):
            if fd >= 0:
                os.close(fd)

    def resize(self, rows: int, columns: int) -> None:
        """Give our terminal another size (tty_ioctl(4)): its foreground process group gets SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, text: str) -> None:
        """Type something."""
        os.write(self.master, text.encode())

    def take(self, fd: int, most: int = 65536) -> bytes:
        """One read; b"" at the end.  Finding when nothing comes for some time."""
        seconds = patience(SECONDS)
        if not select.select([fd], [], [], seconds)[0]:
            raise Finding(f"{self.name()}: nothing comes for {seconds:g} s after {tail(self.shown(), 300)!r}")
        try:
            return os.read(fd, most)
        except OSError:  # EIO: the last slave is closed, pty(7)
            return b""

    def shown(self) -> str:
        """What our terminal has shown so far."""
        return self.text.decode("utf-8", "backslashreplace").replace("\r\n", "\n")

    def read_until(self, wanted: str) -> str:
        """Read our terminal until it shows a text; Finding after a while."""
        deadline = time.monotonic() + patience(SECONDS)
        while wanted not in self.shown():
            self.text += self.take(self.master)
            if time.monotonic() > deadline:
                raise Finding(f"{self.name()}: the terminal does not show {wanted!r}: {tail(self.shown(), 300)!r}")
        return self.shown()

    def wait(self) -> int:
        """The status of the runtime, whose last words are read meanwhile; Finding after a while."""
        deadline = time.monotonic() + patience(SECONDS)
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.01)[0]:
                self.text += self.take(self.master)
            if time.monotonic() > deadline:
                raise Finding(f"{self.name()} does not end: {tail(self.shown(), 300)!r}")
        while select.select([self.master], [], [], 0)[0] and (data := self.take(self.master)):
            self.text += data
        return self.process.returncode

    def name(self) -> str:
        """The command, for people."""
        return f"{os.path.basename(self.runtime.path)} {' '.join(self.words[:3])} ..."


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def executing(container: Container, *program: str, **options: Any) -> Caller:
    """`exec --tty` of a program in the foreground."""
    return Caller(container.runtime, "exec", "--tty", container.id, *program, **options)
