"""A command in a machine that feels like a local one: streams, signals, the size of the terminal, exit status."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from seatrial.vm.channel import CHUNK
from seatrial.vm.machine import Command, Machine

Handler = Callable[[int, FrameType | None], None]
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run(machine: Machine, argv: Sequence[str], *, timeout: float | None = None, terminal: bool = False) -> int:
    """Run `argv` with this process's standard streams; its exit status as a shell gives it (128 + N for signal N).

    OSError when it cannot be started, TimeoutError after `timeout` seconds.
    """
    size = shutil.get_terminal_size()
    environment = {"TERM": os.environ.get("TERM", "dumb")} if terminal else {}
    shape = (size.lines, size.columns) if terminal else None
    command = machine.start(argv, env=environment, terminal=shape)
    threading.Thread(target=_feed, args=(command,), name="stdin", daemon=True).start()
    with _signals(command, terminal), _raw(terminal):
        status = command.wait(timeout, lambda data: _write(1, data), lambda data: _write(2, data))
    return status if status >= 0 else 128 - status


def _feed(command: Command) -> None:
    try:
        while data := os.read(0, CHUNK):
            command.write(data)
    except OSError:
        pass  # there is no standard input
    command.write(b"")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def _signals(command: Command, terminal: bool) -> Iterator[None]:
    """Pass signals on while the block runs."""

    def forward(number: int, _frame: FrameType | None) -> None:
        command.signal(number)

    def resize(_number: int, _frame: FrameType | None) -> None:
        size = shutil.get_terminal_size()
        command.resize(size.lines, size.columns)

    handlers: dict[signal.Signals, Handler] = dict.fromkeys(PASSED_ON, forward)
    if terminal:
        handlers[signal.SIGWINCH] = resize
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """The own terminal passes every key on while the block runs."""
    if not wanted or not sys.stdin.isatty():
        yield
        return
    settings = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, settings)
