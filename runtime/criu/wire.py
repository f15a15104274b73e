"""The wire format of protocol buffers, as much of it as CRIU's messages use: numbers, strings, nested messages.

The command line starts without site-packages, where the `protobuf` package would be, and its import alone takes longer
than a checkpoint's other Python; these are two of the format's rules: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Value = bool | int | str | bytes

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def encode(fields: Iterable[tuple[int, Value]]) -> bytes:
    """A message: (field number, value) in order; a nested message is the bytes of its own encoding.

    Numbers and booleans become varints (a negative one is that of 64 bits, as for int32), the rest length-delimited.
    """
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3 | _VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF)
        else:
            data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
            out += _varint(number << 3 | _BYTES) + _varint(len(data)) + data
    return bytes(out)


def decode(data: bytes) -> dict[int, list[int | bytes]]:
    """A message's fields: number -> its values in order.  Raises ValueError for what is no message."""
    fields: dict[int, list[int | bytes]] = {}
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        value: int | bytes
        if kind == _VARINT:
            value, position = _read_varint(data, position)
        elif kind in (_BYTES, _FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            if kind == _BYTES:
                size, position = _read_varint(data, position)
            value = data[position : position + size]
            position += size
            if len(value) != size:
                raise ValueError("a protocol buffer ends in the middle of a field")
        else:
            raise ValueError(f"a protocol buffer has a field of wire type {kind}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def signed(value: int | bytes) -> int:
    """An int32 that `decode` returned as an unsigned number."""
    if not isinstance(value, int):
        raise ValueError("a protocol buffer has a string where a number belongs")
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if position >= len(data):
            raise ValueError("a protocol buffer ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
    raise ValueError("a number of more than 10 bytes in a protocol buffer")
