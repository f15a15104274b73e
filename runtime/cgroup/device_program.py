"""Device rules as a BPF_PROG_TYPE_CGROUP_DEVICE program, for cgroup v2 (Linux 4.15).

The kernel calls the program with struct bpf_cgroup_dev_ctx: u32 access << 16 | type, u32 major, u32 minor; it returns 1
to allow.  The program walks the rules from the last to the first and settles permission by permission: an allow rule
that matches the device takes its permissions off the list of those still asked for (none left: allowed), a deny rule
that has one still asked for denies.  So the last rule about a permission decides, as the spec says.

That differs from a test of the whole request against one rule at a time, where "allow all, deny reading" lets O_RDWR
through, and where "allow r" and "allow w" do not add up to "rw".
"""

from __future__ import annotations

import struct

from seatrial.runtime.cgroup.device_rules import is_total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from seatrial.runtime.config import DeviceRule

    Instruction: TypeAlias = tuple[int, int, int, int, int]  # code, destination, source, jump offset, immediate

# Codes of struct bpf_insn: class | size or source | operation.
LOAD_WORD = 0x61  # dst = *(u32 *)(src + off)
MOVE = 0xB7  # dst = imm
AND_WORD = 0x54  # (u32) dst &= imm
SHIFT_RIGHT_WORD = 0x74
JUMP = 0x05
JUMP_IF_NOT_EQUAL = 0x55
JUMP_IF_ANY = 0x45  # dst & imm
EXIT = 0x95

CONTEXT, TYPE, ACCESS, MAJOR, MINOR = 1, 2, 3, 4, 5  # registers
RESULT = 0

MKNOD, READ, WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*
TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
MAX_MAJOR = (1 << 12) - 1  # MINORBITS is 20
MAX_MINOR = (1 << 20) - 1

_PROLOGUE: tuple[Instruction, ...] = (
    (LOAD_WORD, TYPE, CONTEXT, 0, 0),
    (AND_WORD, TYPE, 0, 0, 0xFFFF),
    (LOAD_WORD, ACCESS, CONTEXT, 0, 0),
    (SHIFT_RIGHT_WORD, ACCESS, 0, 0, 16),
    (LOAD_WORD, MAJOR, CONTEXT, 4, 0),
    (LOAD_WORD, MINOR, CONTEXT, 8, 0),
)


def _bits(access: str) -> int:
    return sum(bit for letter, bit in (("m", MKNOD), ("r", READ), ("w", WRITE)) if letter in access)


def _exit(value: int) -> list[Instruction]:
    return [(MOVE, RESULT, 0, 0, value), (EXIT, 0, 0, 0, 0)]


def _block(rule: DeviceRule) -> list[Instruction]:
    """The instructions of one rule; its tests jump behind it when the device does not match."""
    tests: list[tuple[int, int]] = []
    if rule.type != "a":
        tests.append((TYPE, TYPES[rule.type]))
    if rule.major is not None:
        tests.append((MAJOR, rule.major))
    if rule.minor is not None:
        tests.append((MINOR, rule.minor))
    bits = _bits(rule.access)
    if rule.allow:
        body: list[Instruction] = [(AND_WORD, ACCESS, 0, 0, 7 & ~bits), (JUMP_IF_NOT_EQUAL, ACCESS, 0, 2, 0)]
    else:
        body = [(JUMP_IF_ANY, ACCESS, 0, 1, bits), (JUMP, 0, 0, 2, 0)]
    body += _exit(1 if rule.allow else 0)
    length = len(tests) + len(body)
    return [(JUMP_IF_NOT_EQUAL, register, 0, length - i - 1, value) for i, (register, value) in enumerate(tests)] + body


def build(rules: list[DeviceRule]) -> list[Instruction]:
    """The program for the rules in config order."""
    default = False
    kept: list[DeviceRule] = []
    for rule in rules:
        if is_total(rule):
            default = rule.allow
            kept = []
        elif (rule.major or 0) <= MAX_MAJOR and (rule.minor or 0) <= MAX_MINOR and _bits(rule.access):
            kept.append(rule)  # a number that no device can have matches nothing
    program = list(_PROLOGUE)
    for rule in reversed(kept):
        program += _block(rule)
    return program + _exit(int(default))


def allows_everything(rules: list[DeviceRule]) -> bool:
    """Whether the rules need no program at all."""
    state = False
    for rule in rules:
        state = rule.allow if is_total(rule) else state and rule.allow
    return state


def assemble(program: list[Instruction]) -> bytes:
    """As the kernel takes it: struct bpf_insn, 8 bytes each."""
    return b"".join(
        struct.pack("=BBhi", code, source << 4 | destination, offset, immediate)
        for code, destination, source, offset, immediate in program
    )


_TEXT = {
    LOAD_WORD: "r{d} = *(u32 *)(r{s} + {o})",
    MOVE: "r{d} = {i}",
    AND_WORD: "w{d} &= {i:#x}",
    SHIFT_RIGHT_WORD: "w{d} >>= {i}",
    JUMP: "goto {t}",
    JUMP_IF_NOT_EQUAL: "if r{d} != {i} goto {t}",
    JUMP_IF_ANY: "if r{d} & {i:#x} goto {t}",
    EXIT: "exit",
}


def describe(program: list[Instruction]) -> list[str]:
    """One line for each instruction, in the manner of bpftool; jump targets are instruction numbers."""
    return [
        f"{number}: " + _TEXT[code].format(d=destination, s=source, o=offset, i=immediate, t=number + 1 + offset)
        for number, (code, destination, source, offset, immediate) in enumerate(program)
    ]
