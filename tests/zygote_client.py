"""Starts a zygote and hands it commands, as the agent of a machine does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PATIENCE = 120.0


@contextlib.contextmanager
def serving(path: str) -> Iterator[None]:
    """A zygote listens at `path` until the block ends."""
    with subprocess.Popen([sys.executable, "-m", "seatrial.conformance.engine.zygote", path]) as process:
        end = time.monotonic() + PATIENCE
        while not os.path.exists(path):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
        process.terminate()


def ask(path: str, argv: list[str], cwd: str = "/", **env: str) -> tuple[dict[str, Any], bytes, bytes]:
    """The answer, and what the command wrote."""
    pipes = [os.pipe() for _ in range(2)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer, open(os.devnull, "rb") as null:
        peer.connect(path)
        words = {"argv": argv, "env": {**os.environ, **env}, "cwd": cwd, "terminal": False}
        socket.send_fds(peer, [json.dumps(words).encode()], [null.fileno(), pipes[0][1], pipes[1][1]])
        answer = json.loads(peer.recv(1 << 16))
    told = []
    for reader, writer in pipes:
        os.close(writer)
        with open(reader, "rb") as file:
            told.append(file.read())
    return answer, told[0], told[1]


def ask_on_terminal(path: str, argv: list[str]) -> bytes:
    """What a command writes to a terminal that is its own."""
    ours, its = os.openpty()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(path)
        words = {"argv": argv, "env": dict(os.environ), "cwd": "/", "terminal": True}
        socket.send_fds(peer, [json.dumps(words).encode()], [its] * 3)
        assert "pid" in json.loads(peer.recv(1 << 16))
    os.close(its)
    told = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while data := os.read(ours, 1 << 16):
            told += data
    os.close(ours)
    return told
