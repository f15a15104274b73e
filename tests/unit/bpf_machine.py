"""A tiny interpreter of eBPF for device programs: it decodes struct bpf_insn by itself, from the ISA's text."""

from __future__ import annotations

import struct

LETTERS = {"m": 1, "r": 2, "w": 4}
KINDS = {"b": 1, "c": 2}
LIMIT = 10_000


def run(code: bytes, type: str, major: int, minor: int, access: str) -> int:
    """r0 of the program for one access; raises on anything that the verifier would refuse too."""
    context = struct.pack("=III", sum(LETTERS[letter] for letter in access) << 16 | KINDS[type], major, minor)
    registers: list[int | None] = [None] * 11
    registers[1] = 0  # the context's address; only loads from it are known here
    count = len(code) // 8
    at = 0
    for _ in range(LIMIT):
        if not 0 <= at < count:
            raise AssertionError(f"jump out of the program to {at}")
        operation, pair, offset, immediate = struct.unpack_from("=BBhi", code, at * 8)
        target, source = pair & 15, pair >> 4
        at += 1
        if operation == 0x61:  # BPF_LDX | BPF_MEM | BPF_W
            assert source == 1
            registers[target] = struct.unpack_from("=I", context, offset)[0]
        elif operation == 0xB7:  # BPF_ALU64 | BPF_MOV | BPF_K
            registers[target] = immediate & (1 << 64) - 1
        elif operation == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            registers[target] = known(registers, target) & immediate & 0xFFFFFFFF
        elif operation == 0x74:  # BPF_ALU | BPF_RSH | BPF_K
            registers[target] = (known(registers, target) & 0xFFFFFFFF) >> immediate
        elif operation == 0x05:  # BPF_JMP | BPF_JA
            assert offset > 0, "backward jump"
            at += offset
        elif operation in (0x15, 0x55, 0x45):  # JEQ, JNE, JSET with an immediate
            assert offset > 0, "backward jump"
            value, constant = known(registers, target), immediate & (1 << 64) - 1
            if {0x15: value == constant, 0x55: value != constant, 0x45: bool(value & constant)}[operation]:
                at += offset
        elif operation == 0x95:  # BPF_EXIT
            return known(registers, 0)
        else:
            raise AssertionError(f"unknown operation {operation:#x}")
    raise AssertionError("the program does not end")


def known(registers: list[int | None], number: int) -> int:
    value = registers[number]
    if value is None:
        raise AssertionError(f"r{number} is read before it is written")
    return value
