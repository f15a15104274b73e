"""Rules to cBPF, for seccomp(2) filters: the architecture, the call's number, then its rules in order.

A call that no rule answers is allowed, as is every call of an architecture without a table.  libseccomp's language
cannot say "none of these values" or "a flag in an int whatever the register's upper half holds", and cannot be asked
for rules in an order; the dozen lines of assembler here can.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from seatrial.conformance.mask import numbers
from seatrial.conformance.mask.rule import Rule, Test

LOAD, AND = 0x20, 0x54  # BPF_LD | BPF_W | BPF_ABS; BPF_ALU | BPF_AND | BPF_K
JUMP, EQUAL, GREATER, LEAST, BITS = 0x05, 0x15, 0x25, 0x35, 0x45  # BPF_JMP with JA, JEQ, JGT, JGE, JSET and BPF_K
RETURN = 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def assemble(rules: Sequence[Rule], machine: str) -> bytes:
    """The program (an array of struct sock_filter) for a machine as uname(2) names it.  KeyError for another."""
    code: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE)]
    for architecture in numbers.MACHINES[machine]:
        section = _section(rules, architecture)
        code += [(EQUAL, 1, 0, architecture), (JUMP, 0, 0, len(section)), *section]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _section(rules: Sequence[Rule], architecture: int) -> list[Instruction]:
    """Everything about one architecture; it always ends in a return."""
    code: list[Instruction] = [(LOAD, 0, 0, NUMBER)]
    if architecture == numbers.X86_64:
        code.append((AND, 0, 0, ~numbers.X32_BIT & 0xFFFFFFFF))
    for call in dict.fromkeys(rule.call for rule in rules):
        body: list[Instruction] = []
        for rule in rules:
            if rule.call == call:
                body += _rule(rule)
        body.append((RETURN, 0, 0, ALLOW))
        known = numbers.numbers(architecture, call)
        # Each of them jumps over those that follow and over the jump past the body.
        code += [(EQUAL, len(known) - position, 0, number) for position, number in enumerate(known)]
        code += [(JUMP, 0, 0, len(body)), *body]
    code.append((RETURN, 0, 0, ALLOW))
    return code


def _rule(rule: Rule) -> list[Instruction]:
    """One rule: it returns the errno, or falls through to what follows."""
    code: list[Instruction] = [(RETURN, 0, 0, ERRNO | rule.errno)]
    for test in reversed(rule.tests):
        code = [*_test(test, len(code)), *code]
    return code


def _test(test: Test, length: int) -> list[Instruction]:
    """One condition: it falls through when it holds, and jumps over `length` instructions when it does not."""
    low = ARGUMENTS + 8 * test.argument
    code: list[Instruction] = [(LOAD, 0, 0, low)]
    if test.kind == "bits":
        code.append((BITS, 0, length, test.values[0]))
    elif test.kind == "least":
        code.append((LEAST, 0, length, test.values[0]))
    elif test.kind == "equal":
        last = len(test.values) - 1
        for position, value in enumerate(test.values):
            code.append((EQUAL, last - position, length if position == last else 0, value))
    else:
        for position, value in enumerate(test.values):
            code.append((EQUAL, len(test.values) - 1 - position + length, 0, value))
    return _upper(test, code, length) if test.wide else code


def _upper(test: Test, code: list[Instruction], length: int) -> list[Instruction]:
    """The upper half of a 64-bit argument before the lower one.  The values all fit into 32 bits: with a bit set in
    the upper half the argument is greater than each, and none of them."""
    load = (LOAD, 0, 0, ARGUMENTS + 8 * test.argument + 4)
    if test.kind == "bits":
        return code
    if test.kind == "equal":
        return [load, (EQUAL, 0, len(code) + length, 0), *code]
    return [load, (EQUAL, 0, len(code), 0), *code]
