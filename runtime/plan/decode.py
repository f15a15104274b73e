"""Bytes back to operations: for tools that print, compare or mutate plans, and for round-trip tests.

The executor has its own decoder in C; both follow `seatrial.native.operations`.
"""

from __future__ import annotations

from struct import Struct

from seatrial.native.operations import HEADER_BYTES, MAGIC, OPERATIONS, VERSION
from seatrial.runtime.plan.operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.plan.operation import Value

_header = Struct("<4sIII")
_head = Struct("<HHI")
_NUMBERS = {"u32": Struct("<I"), "u64": Struct("<Q"), "i64": Struct("<q")}
_by_opcode = {opcode: (name, arguments) for name, opcode, arguments, _ in OPERATIONS}


class DecodeError(ValueError):
    """The bytes are no plan of this version."""


def decode(data: bytes) -> list[Operation]:
    """The operations of an encoded plan.  Raises DecodeError where the executor refuses the plan too."""
    if len(data) < HEADER_BYTES:
        raise DecodeError("shorter than a header")
    magic, version, count, total = _header.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise DecodeError(f"magic {magic!r}, version {version}")
    if total != len(data):
        raise DecodeError(f"header says {total} bytes, there are {len(data)}")
    reader = _Reader(data, HEADER_BYTES, len(data))
    operations = []
    for index in range(count):
        opcode, zero, length = _head.unpack(reader.take(_head.size))
        if opcode not in _by_opcode or zero:
            raise DecodeError(f"operation {index + 1}: unknown opcode {opcode}")
        name, arguments = _by_opcode[opcode]
        payload = _Reader(data, reader.at, reader.at + len(reader.take(length)))
        values = [payload.value(argument.partition(":")[2]) for argument in arguments]
        if payload.at != payload.end:
            raise DecodeError(f"operation {index + 1}, {name}: {payload.end - payload.at} bytes too many")
        operations.append(Operation(name, *values))
    if reader.at != reader.end:
        raise DecodeError("bytes after the last operation")
    return operations


class _Reader:
    """A window on the bytes: every read is checked against its end."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def take(self, length: int) -> bytes:
        if length > self.end - self.at:
            raise DecodeError(f"{length} bytes wanted at {self.at}, {self.end - self.at} left")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, kind: str) -> int:
        form = _NUMBERS[kind]
        number: int = form.unpack(self.take(form.size))[0]
        return number

    def text(self) -> str:
        data = self.take(self.number("u32"))
        if self.take(1) != b"\0" or b"\0" in data:
            raise DecodeError(f"string before {self.at} without its NUL, or with one inside")
        return data.decode("utf-8", "surrogateescape")

    def value(self, kind: str) -> Value:
        if kind in _NUMBERS:
            return self.number(kind)
        if kind == "str":
            return self.text()
        if kind == "bytes":
            return self.take(self.number("u32"))
        count = self.number("u32")
        if count > self.end - self.at:  # every item takes four bytes or more
            raise DecodeError(f"list of {count} items at {self.at}")
        if kind == "strs":
            return [self.text() for _ in range(count)]
        return [self.number("u32") for _ in range(count)]
