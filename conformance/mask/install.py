"""Puts the calling thread, and everything that it starts from then on, behind masks.  A filter is never taken away
again (seccomp(2))."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from functools import cache

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.mask.names import KERNEL, Mask, union
from seatrial.conformance.mask.numbers import MACHINES
from seatrial.conformance.mask.program import assemble
from seatrial.native import seccomp, syscall


def install(masks: Sequence[Mask]) -> None:
    """Load the filter of these masks; nothing for none.

    With CAP_SYS_ADMIN set-user-ID programs keep their meaning; without it the kernel wants no_new_privs, and the thread
    gets that too.  EnvironmentProblem for a machine whose numbers are not known, or a kernel without filters.
    """
    if not masks:
        return
    machine = KERNEL.machine
    if machine not in MACHINES:
        raise EnvironmentProblem(f"masks: no table of system calls for {machine}, only for {', '.join(MACHINES)}")
    program = _program(tuple(masks), machine)
    try:
        try:
            seccomp.load_filter(program)
        except PermissionError:
            syscall.prctl(syscall.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.load_filter(program)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "?")
        raise EnvironmentProblem(
            f"cannot load the filter of {' '.join(mask.name for mask in masks)}: {name}"
        ) from error


@cache
def _program(masks: tuple[Mask, ...], machine: str) -> bytes:
    return assemble(union(masks), machine)
