"""Drive the executor as the runtime does: a plan in a memfd, messages on a SEQPACKET socket, and every child reaped.

The encoder here is written from the table's description, not shared with the runtime: the two check each other.
"""

from __future__ import annotations

import array
import errno
import json
import os
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from seatrial.native import operations as table

ROW = {name: (code, [a.partition(":")[2] for a in arguments]) for name, code, arguments, _ in table.OPERATIONS}
HEAD = struct.Struct("<IIii")
NOTHING_RAN = 0xFFFFFFFF
TIMEOUT = 60.0  # seconds for one container: only a hang gets there

Operation = tuple[Any, ...]  # (name, argument, ...)


def argument(kind: str, value: Any) -> bytes:
    if kind == "str":
        raw = value.encode() if isinstance(value, str) else bytes(value)
        return struct.pack("<I", len(raw)) + raw + b"\0"
    if kind == "bytes":
        return struct.pack("<I", len(value)) + bytes(value)
    if kind == "strs":
        return struct.pack("<I", len(value)) + b"".join(argument("str", item) for item in value)
    if kind == "u32s":
        return struct.pack(f"<I{len(value)}I", len(value), *value)
    return struct.pack({"u32": "<I", "u64": "<Q", "i64": "<q"}[kind], value)


def operation(name: str, *values: Any) -> bytes:
    code, kinds = ROW[name]
    payload = b"".join(argument(kind, value) for kind, value in zip(kinds, values, strict=True))
    return struct.pack("<HHI", code, 0, len(payload)) + payload


def encode(plan: list[Operation]) -> bytes:
    body = b"".join(operation(*row) for row in plan)
    return table.MAGIC + struct.pack("<III", table.VERSION, len(plan), table.HEADER_BYTES + len(body)) + body


@dataclass
class Outcome:
    """What the executor said, and what its program printed."""

    messages: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    descriptors: dict[int, int] = field(default_factory=dict)  # message kind -> fd that came along
    status: int = -1  # of the last process: exit status, or minus a signal
    stdout: str = ""
    stderr: str = ""

    def texts(self, kind: int) -> list[str]:
        return [text for k, _, _, _, text in self.messages if k == kind]

    @property
    def points(self) -> list[int]:
        return [value for kind, _, value, _, _ in self.messages if kind == table.MESSAGE_SYNC]

    @property
    def pid(self) -> int:
        return [value for kind, _, value, _, _ in self.messages if kind == table.MESSAGE_CHILD][-1]

    @property
    def error(self) -> tuple[int, str, str]:
        """(operation index, errno name, detail) of the one failure."""
        errors = [m for m in self.messages if m[0] == table.MESSAGE_ERROR]
        assert len(errors) == 1, (self.messages, self.stderr)
        _, index, _, number, text = errors[0]
        return index, errno.errorcode.get(number, str(number)), text

    @property
    def lines(self) -> list[Any]:
        """The probe's JSON lines; the plan must have run to its end."""
        assert not self.texts(table.MESSAGE_ERROR), (self.messages, self.stderr)
        return [json.loads(line) for line in self.stdout.splitlines()]

    def value(self, index: int = 0) -> Any:
        line = self.lines[index]
        assert line["ok"], line
        return line["value"]


class Drive:
    """One executor process and its successors.  A sanitized build says what it finds on stderr: that fails `finish`."""

    running: ClassVar[list[Drive]] = []

    def __init__(
        self,
        command: list[str],
        plan: list[Operation] | bytes,
        *,
        descriptors: dict[int, int] | None = None,
        keep: int = 3,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        umask: int = 0o022,
    ) -> None:
        raw = plan if isinstance(plan, bytes) else encode(plan)
        self.outcome = Outcome()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memfd = os.memfd_create("plan")
        os.write(memfd, raw)
        numbers = [theirs.fileno(), memfd, *(descriptors or {}).values()]
        environment = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}
        self.process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(memfd), str(keep)],
            pass_fds=numbers,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment,
            umask=umask,
        )
        theirs.close()
        os.close(memfd)
        self.children: list[int] = []
        Drive.running.append(self)

    def receive(self) -> tuple[int, int, int, int, str] | None:
        """The next message; None at the end of the socket, that is when the program runs or the executor is gone."""
        if not select.select([self.socket], [], [], TIMEOUT)[0]:
            raise TimeoutError(f"the executor says nothing: {self.outcome.messages}")
        try:
            data, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            return None
        if not data:
            return None
        kind, index, value, error = HEAD.unpack_from(data)
        message = (kind, index, value, error, data[HEAD.size :].decode("utf-8", "backslashreplace"))
        for level, type_, raw in control:
            assert (level, type_) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            self.outcome.descriptors[kind] = array.array("i", raw)[0]
        if kind == table.MESSAGE_CHILD:
            self.children.append(value)
        self.outcome.messages.append(message)
        return message

    def take(self, kind: int) -> int:
        """The descriptor that came with a message; the caller closes it."""
        return self.outcome.descriptors.pop(kind)

    def send(self, kind: int) -> None:
        self.socket.send(HEAD.pack(kind, 0, 0, 0))

    def until(self, point: int) -> None:
        """Answer GO to every sync up to `point`, which stays unanswered."""
        while message := self.receive():
            if message[0] == table.MESSAGE_SYNC:
                if message[2] == point:
                    return
                self.send(table.MESSAGE_GO)
        raise AssertionError((self.outcome.messages, self.finish().stderr))

    def go(self) -> Outcome:
        """Answer GO to everything; the end of the program."""
        while message := self.receive():
            if message[0] == table.MESSAGE_SYNC:
                self.send(table.MESSAGE_GO)
        return self.finish()

    def finish(self) -> Outcome:
        out, err = self.process.communicate(timeout=TIMEOUT)
        self.outcome.status = self.process.returncode
        for child in self.children:
            self.outcome.status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.children.clear()
        self.socket.close()
        Drive.running.remove(self)
        self.outcome.stdout = out.decode() if out else ""
        self.outcome.stderr = err.decode("utf-8", "replace")
        assert "Sanitizer" not in self.outcome.stderr, self.outcome.stderr
        assert "runtime error" not in self.outcome.stderr, self.outcome.stderr
        return self.outcome

    def kill(self) -> None:
        """Whatever is left of it; the conftest calls this after every test."""
        for pid in [self.process.pid, *self.children]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self.process.wait()
        for child in self.children:
            os.waitpid(child, 0)
        self.children.clear()
        self.socket.close()
        for descriptor in self.outcome.descriptors.values():
            os.close(descriptor)


def run(command: list[str], plan: list[Operation] | bytes, **options: Any) -> Outcome:
    """Run a plan to the end of its program, saying GO at every sync."""
    return Drive(command, plan, **options).go()


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for something that another process does.  Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
