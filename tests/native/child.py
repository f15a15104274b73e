"""Run a program with the project's own spawn, and collect what it prints: no fork of a threaded test process."""

from __future__ import annotations

import os

from seatrial.native import pidfd
from seatrial.native.spawn import spawn

ENV = [b"PATH=/usr/bin:/bin", b"LC_ALL=C"]


class Finished:
    """What a child left: `exit` as from pidfd.wait, and its output (stdout and stderr)."""

    def __init__(self, exit: pidfd.Exit, output: str) -> None:
        self.exit = exit
        self.status = exit.status
        self.output = output


def run(script: str, fds: list[tuple[int, int]] | None = None, **options: object) -> Finished:
    """Run a shell script; options go to spawn."""
    shell = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    reader, writer = os.pipe()
    try:
        argv = [b"sh", b"-c", script.encode()]
        _, child = spawn(shell, argv, ENV, [(0, null), (1, writer), (2, writer), *(fds or [])], **options)  # type: ignore[arg-type]
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(shell)
        os.close(null)
        os.close(writer)
    with open(reader, "rb") as file:
        output = file.read().decode()
    try:
        exit = pidfd.wait(child)
    finally:
        os.close(child)
    assert exit is not None
    return Finished(exit, output)
