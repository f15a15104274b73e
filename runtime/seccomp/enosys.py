"""The stub before a filter: system calls newer than the profile fail with ENOSYS.

A profile that denies by default with EPERM breaks programs that try a new call and fall back when the kernel lacks it.
A call whose number is above everything that the profile names cannot have been known to the profile's author: the stub
answers as an older kernel would.  seccomp(2), bpf(4) "cBPF".
"""

from __future__ import annotations

import errno
import struct

_LD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_JUMP_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_OFFSET_NUMBER = 0  # struct seccomp_data
_OFFSET_ARCH = 4
_RETURN_ENOSYS = 0x00050000 | errno.ENOSYS

AUDIT_ARCH_X86_64 = 0xC000003E
ARCH_X32 = 0x4000003E  # libseccomp's token; the kernel reports AUDIT_ARCH_X86_64 and sets a bit in the number
_X32_BIT = 0x40000000
_S390 = (0x16, 0x80000016)  # AUDIT_ARCH_S390, AUDIT_ARCH_S390X

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def stub(largest: dict[int, int]) -> bytes:
    """The instructions to put before a filter.

    `largest` is the largest known system call number by libseccomp architecture token.  Other architectures, and the
    other of the two ABIs of x86-64, go on to the filter.
    """
    sections = []
    for arch in largest:
        if arch in (AUDIT_ARCH_X86_64, ARCH_X32):
            continue
        sections.append((arch, [(_LD_WORD, 0, 0, _OFFSET_NUMBER), *_multiplexer(arch), *_newer(largest[arch])]))
    if AUDIT_ARCH_X86_64 in largest or ARCH_X32 in largest:
        plain = [*_newer(largest.get(AUDIT_ARCH_X86_64)), (_JUMP, 0, 0, -1)]
        body = [
            (_LD_WORD, 0, 0, _OFFSET_NUMBER),
            (_JUMP_BITS, len(plain), 0, _X32_BIT),
            *plain,
            *_newer(largest.get(ARCH_X32)),
        ]
        sections.append((AUDIT_ARCH_X86_64, body))
    program: list[Instruction] = [(_LD_WORD, 0, 0, _OFFSET_ARCH)]
    for arch, body in sections:
        program += [(_JUMP_EQUAL, 0, len(body) + 1, arch), *body, (_JUMP, 0, 0, -1)]
    end = len(program)
    packed = b""
    for index, (code, true, false, k) in enumerate(program):
        packed += struct.pack("<HBBI", code, true, false, end - index - 1 if code == _JUMP else k)
    return packed


def _newer(largest: int | None) -> list[Instruction]:
    """ENOSYS for numbers above the largest."""
    if largest is None:
        return []
    return [(_JUMP_GREATER, 0, 1, largest), (_RETURN, 0, 0, _RETURN_ENOSYS)]


def _multiplexer(arch: int) -> list[Instruction]:
    """On s390, number 0 means that the real number (above 255) is in a register that a filter cannot see."""
    if arch not in _S390:
        return []
    return [(_JUMP_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _RETURN_ENOSYS)]
