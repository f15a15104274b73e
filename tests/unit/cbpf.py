"""A machine for seccomp's cBPF: what would the kernel answer?  (net/core/filter.c, kernel/seccomp.c)"""

from __future__ import annotations

import struct

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
KILL_THREAD = 0
X86_64 = 0xC000003E
I386 = 0x40000003
AARCH64 = 0xC00000B7


def errno_action(number: int) -> int:
    return 0x00050000 | number


def run(program: bytes, number: int, *args: int, arch: int = X86_64) -> int:
    """The SECCOMP_RET_* value for a system call.  Raises IndexError when the program runs over its end."""
    padded = [*args, *[0] * (6 - len(args))]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *[value & (2**64 - 1) for value in padded])
    code = list(struct.iter_unpack("<HBBI", program))
    a = x = at = 0
    memory = [0] * 16
    for _ in range(len(code) + 1):
        op, true, false, k = code[at]
        at += 1
        if op == 0x20:  # LD W ABS
            assert k % 4 == 0
            assert k <= 60
            (a,) = struct.unpack_from("<I", data, k)
        elif op == 0x05:  # JA
            at += k
        elif op in (0x15, 0x25, 0x35, 0x45):  # JEQ, JGT, JGE, JSET with K
            truth = {0x15: a == k, 0x25: a > k, 0x35: a >= k, 0x45: bool(a & k)}[op]
            at += true if truth else false
        elif op == 0x06:  # RET K
            return int(k)
        elif op == 0x54:  # AND K
            a &= k
        elif op == 0x02:  # ST
            memory[k] = a
        elif op == 0x60:  # LD MEM
            a = memory[k]
        elif op == 0x07:  # TAX
            x = a
        elif op == 0x87:  # TXA
            a = x
        else:
            raise AssertionError(f"instruction 0x{op:x} is not for seccomp, or not known here")
    raise AssertionError("no return")
