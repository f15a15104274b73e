"""Plans to bytes: the format at the head of `seatrial.native.operations`, which the executor decodes."""

from __future__ import annotations

import struct

from seatrial.native.operations import HEADER_BYTES, MAGIC, OPERATIONS, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from seatrial.runtime.plan.operation import Operation

_u32 = struct.Struct("<I").pack
_u64 = struct.Struct("<Q").pack
_i64 = struct.Struct("<q").pack
_head = struct.Struct("<HHI").pack
_header = struct.Struct("<4sIII").pack
_arguments = {name: (opcode, arguments) for name, opcode, arguments, _ in OPERATIONS}
_layouts: dict[str, tuple[int, tuple[Callable[[Any], bytes], ...]]] = {}


class EncodeError(ValueError):
    """A value does not fit its argument's type: a number out of range, a NUL in a string."""


def argument_names(name: str) -> list[str]:
    """The argument names of an operation.  Raises KeyError for an unknown one."""
    return [argument.partition(":")[0] for argument in _arguments[name][1]]


def encode(operations: Sequence[Operation]) -> bytes:
    """The plan's bytes.  Raises EncodeError naming the operation."""
    parts = [b""]
    for operation in operations:
        name, values = operation.name, operation.values
        try:
            opcode, encoders = _layouts.get(name) or _layout(name)
            if len(values) != len(encoders):
                raise TypeError(f"{len(values)} arguments, not {len(encoders)}")
            payload = b"".join([encoder(value) for encoder, value in zip(encoders, values, strict=False)])
        except (ValueError, TypeError, AttributeError, KeyError, struct.error) as error:
            raise EncodeError(f"operation {len(parts)}, {name}: {error}") from error
        parts.append(_head(opcode, 0, len(payload)) + payload)
    body = b"".join(parts)
    return _header(MAGIC, VERSION, len(operations), HEADER_BYTES + len(body)) + body


def _layout(name: str) -> tuple[int, tuple[Callable[[Any], bytes], ...]]:
    opcode, arguments = _arguments[name]
    layout = _layouts[name] = (opcode, tuple(_ENCODERS[argument.partition(":")[2]] for argument in arguments))
    return layout


def _text(value: str) -> bytes:
    # Like os.fsencode: a path that is not UTF-8 comes back as the bytes that it was.
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"NUL byte in {value!r}")
    return _u32(len(data)) + data + b"\0"


def _bytes(value: bytes) -> bytes:
    return _u32(len(value)) + value


def _texts(values: Iterable[str]) -> bytes:
    items = [_text(value) for value in values]
    return _u32(len(items)) + b"".join(items)


def _numbers(values: Sequence[int]) -> bytes:
    return _u32(len(values)) + b"".join([_u32(value) for value in values])


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "u32": _u32,
    "u64": _u64,
    "i64": _i64,
    "str": _text,
    "bytes": _bytes,
    "strs": _texts,
    "u32s": _numbers,
}
