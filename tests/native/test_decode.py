"""The plan decoder under ASan and UBSan: whatever the bytes are, it decodes them or refuses them with a reason."""

from __future__ import annotations

import random
import struct
import subprocess

import pytest
from executor_driver import ROW, argument, encode, operation
from plans import container

from seatrial.native import operations as table

SAMPLES = {
    "u32": 0xFFFFFFFF,
    "u64": 1 << 63,
    "i64": -1,
    "str": "text",
    "bytes": b"\0\1\2",
    "strs": ["a=b", "", "c"],
    "u32s": [0, 7, 0xFFFFFFFF],
}
# One of each operation, `exec` at the end as the decoder wants it.
EVERY = [(name, *[SAMPLES[kind] for kind in kinds]) for name, (_, kinds) in ROW.items() if name != "exec"]
EVERY.append(("exec", ["true", "x"]))


def decode(decoder: str, plans: list[bytes]) -> list[str]:
    """The decoder's verdict on each plan; a sanitizer report fails."""
    data = b"".join(struct.pack("<I", len(plan)) + plan for plan in plans)
    done = subprocess.run([decoder], input=data, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert done.stderr == b""
    verdicts = done.stdout.decode("utf-8", "backslashreplace").splitlines()
    assert len(verdicts) == len(plans)
    return verdicts


def plan_of(*raw: bytes, count: int | None = None) -> bytes:
    body = b"".join(raw)
    head = struct.pack("<III", table.VERSION, len(raw) if count is None else count, table.HEADER_BYTES + len(body))
    return table.MAGIC + head + body


def raw_operation(name: str, payload: bytes) -> bytes:
    return struct.pack("<HHI", ROW[name][0], 0, len(payload)) + payload


EXEC = operation("exec", ["true"])


def test_every_operation_decodes(decoder: str) -> None:
    plans = [encode(EVERY), encode(container("/rootfs", ["true"]))]
    assert decode(decoder, plans) == [f"ok {len(EVERY)} exec", f"ok {len(container('/rootfs', ['true']))} exec"]


def test_every_prefix_is_refused(decoder: str) -> None:
    whole = encode(EVERY)
    # As it is, and with a header that claims the shorter size: the first is caught at once, the second further inside.
    plans = [whole[:size] for size in range(len(whole))]
    plans += [whole[:12] + struct.pack("<I", size) + whole[16:size] for size in range(16, len(whole))]
    for plan, verdict in zip(plans, decode(decoder, plans), strict=True):
        assert verdict.startswith("refused "), (len(plan), verdict)


def test_random_damage_is_decoded_or_refused(decoder: str) -> None:
    rng = random.Random(20261123)
    whole = encode(EVERY)
    plans = []
    for _ in range(6000):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        plans.append(bytes(damaged))
    verdicts = decode(decoder, plans)
    assert {verdict.split()[0] for verdict in verdicts} == {"ok", "refused"}


def test_huge_lengths_are_refused(decoder: str) -> None:
    """Every length and count of the plan in turn becomes each of some very wrong numbers."""
    whole = encode(EVERY)
    places = [8, 12]
    at = table.HEADER_BYTES
    for row in EVERY:
        places.append(at + 4)
        inner = at + 8
        for kind, value in zip(ROW[row[0]][1], row[1:], strict=True):
            if kind in ("str", "bytes", "strs", "u32s"):
                places.append(inner)
            inner += len(argument(kind, value))
        at = inner
    plans = []
    for place in places:
        for wrong in (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0xFFFFFFF8, 0x40000000, 0x33333334, len(whole), 4096):
            plan = whole[:place] + struct.pack("<I", wrong) + whole[place + 4 :]
            if plan != whole:
                plans.append(plan)
    for verdict in decode(decoder, plans):
        assert verdict.startswith("refused ")


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (b"", "the plan is shorter than its header"),
        (b"ELF!" + encode(EVERY)[4:], "not a plan: wrong magic"),
        (encode(EVERY)[:4] + struct.pack("<I", table.VERSION + 1) + encode(EVERY)[8:], "the plan has another version"),
        (encode(EVERY) + b"\0", "the plan's size is not what its header says"),
        (plan_of(count=0), "the operation count does not fit the plan's size"),
        (plan_of(EXEC, b"\0" * 4, count=1), "bytes follow the last operation"),
        (plan_of(struct.pack("<HHI", 999, 0, 0), EXEC), "operation 0: unknown opcode"),
        (plan_of(struct.pack("<HHI", 16, 0, 0), EXEC), "operation 0: unknown opcode"),
        (plan_of(struct.pack("<HHI", 0, 0, 0), EXEC), "operation 0: unknown opcode"),
        (plan_of(struct.pack("<HHI", 9, 1, 0), EXEC), "operation 0 (setsid): reserved bits are set"),
        (plan_of(raw_operation("setsid", b"\0"), EXEC), "operation 0 (setsid): bytes follow the last argument"),
        (
            plan_of(raw_operation("umask", b"\0\0\0"), EXEC),
            "operation 0 (umask): argument mask is longer than its payload",
        ),
        (
            plan_of(raw_operation("hostname", b"\3\0\0\0a\0b\0"), EXEC),
            "operation 0 (hostname): argument name has a NUL inside",
        ),
        (plan_of(raw_operation("find", b"\1\0\0\0ab"), EXEC), "operation 0 (find): argument file does not end in NUL"),
        (
            plan_of(raw_operation("groups", b"\2\0\0\0\1\0\0\0\0\0\0"), EXEC),
            "operation 0 (groups): argument gids has a count larger than its payload",
        ),
        (plan_of(operation("setsid")), "operation 0 (setsid): the plan does not end in exec"),
        (plan_of(EXEC, EXEC), "operation 0 (exec): exec is not the last operation"),
        (plan_of(operation("exec", [])), "operation 0 (exec): argument args is empty"),
    ],
)
def test_refusals_say_why(decoder: str, plan: bytes, reason: str) -> None:
    assert decode(decoder, [plan]) == [f"refused {reason}"]


def test_many_operations_in_a_moment(decoder: str) -> None:
    """A large plan is decoded, one larger than the limit is not."""
    many = [operation("setsid")] * 100_000
    too_large = plan_of(operation("seccomp", b"\0" * (16 << 20), 0, 0), EXEC)
    assert decode(decoder, [plan_of(*many, EXEC), too_large]) == ["ok 100001 exec", "refused the plan is too large"]
