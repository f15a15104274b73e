"""The host side of the agent's protocol: frames over a stream socket, a queue for each channel.

Frames are kind (u8), channel (u32), length (u32), big endian, then the payload; guest side: vm/guest/agent.py.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

HEADER = struct.Struct(">BII")
HELLO, RUN, DATA, SIGNAL, CONNECT, CLOSE, RESIZE = range(1, 8)  # to the guest
READY, OUT, ERR, EXIT, REFUSED, TAKEN, GREETED = range(16, 23)  # from the guest
LOST = 0  # the connection is gone: the last frame of every channel
WINDOW = 1 << 20  # bytes of standard input that may be on their way
CHUNK = 1 << 16

Frame = tuple[int, bytes]


class LostError(Exception):
    """The guest's end of the connection is gone."""


class Connection:
    """The connection to one agent.  Threads may use different channels at once."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.lost = False
        self._queues: dict[int, queue.SimpleQueue[Frame]] = {0: queue.SimpleQueue()}
        self._next = 1
        self._sending = threading.Lock()
        self._table = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="machine", daemon=True)
        self._reader.start()

    def ready(self, timeout: float) -> dict[str, Any]:
        """What the agent says of itself when it has started; LostError or TimeoutError."""
        return dict(json.loads(self.expect(0, READY, timeout)))

    def greet(self, timeout: float, identity: Mapping[str, str]) -> None:
        """Set the guest's clock, feed its random pool and give it the `name` and `machine_id` of `identity`; wait for
        the answer.  LostError or TimeoutError."""
        words = {"now": time.time(), "seed": os.urandom(32).hex(), **identity}
        self.send(HELLO, 0, json.dumps(words).encode())
        self.expect(0, GREETED, timeout)

    def expect(self, channel: int, kind: int, timeout: float) -> bytes:
        """The payload of the channel's next frame of that kind; others are dropped."""
        end = time.monotonic() + timeout
        while True:
            found, payload = self.next(channel, end - time.monotonic())
            if found == kind:
                return payload

    def open(self) -> int:
        """A new channel."""
        with self._table:
            channel = self._next
            self._next += 1
            self._queues[channel] = queue.SimpleQueue()
        if self.lost:
            self._queues[channel].put((LOST, b""))
        return channel

    def busy(self) -> bool:
        """Whether a command or a forwarded connection is open."""
        with self._table:
            return len(self._queues) > 1

    def forget(self, channel: int) -> None:
        """Drop a channel and what still comes for it."""
        with self._table:
            self._queues.pop(channel, None)

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, terminal: tuple[int, int] | None = None
    ) -> int:
        """Start a command on a new channel, which is returned; `terminal` is (rows, columns) where it gets one."""
        channel = self.open()
        words = {"argv": list(argv), "env": dict(env), "cwd": cwd, "terminal": terminal}
        self.send(RUN, channel, json.dumps(words).encode())
        return channel

    def connect(self, host: str, port: int) -> int:
        """Connect to a TCP port of the guest on a new channel."""
        channel = self.open()
        self.send(CONNECT, channel, json.dumps({"host": host, "port": port}).encode())
        return channel

    def next(self, channel: int, timeout: float | None) -> Frame:
        """The channel's next frame; LostError when the connection is gone, TimeoutError after `timeout` seconds."""
        try:
            frame = self._queues[channel].get(timeout=None if timeout is None else max(timeout, 0.001))
        except queue.Empty:
            raise TimeoutError from None
        if frame[0] == LOST:
            raise LostError
        return frame

    def send(self, kind: int, channel: int, payload: bytes = b"") -> None:
        """Send a frame; LostError when the connection is gone."""
        try:
            with self._sending:
                self.peer.sendall(HEADER.pack(kind, channel, len(payload)) + payload)
        except OSError as error:
            raise LostError from error

    def close(self) -> None:
        """Close the connection and end its reader."""
        try:
            self.peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.peer.close()
        self._reader.join(timeout=5)

    def _read(self) -> None:
        received = bytearray()
        while True:
            try:
                data = self.peer.recv(CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            received += data
            while len(received) >= HEADER.size:
                kind, channel, length = HEADER.unpack_from(received)
                if len(received) < HEADER.size + length:
                    break
                payload = bytes(received[HEADER.size : HEADER.size + length])
                del received[: HEADER.size + length]
                with self._table:
                    target = self._queues.get(channel)
                if target is not None:
                    target.put((kind, payload))
        self.lost = True
        with self._table:
            for target in self._queues.values():
                target.put((LOST, b""))
