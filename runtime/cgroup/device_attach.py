"""Put a device program on a v2 cgroup, in the place of the one that is there."""

from __future__ import annotations

import errno
import os

from seatrial.native import bpf
from seatrial.runtime.cgroup.device_program import allows_everything, assemble, build
from seatrial.runtime.cgroup.device_rules import in_user_namespace
from seatrial.runtime.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import DeviceRule

NAME = b"seatrial_dev"
RLIMIT_MEMLOCK = 8
_FORBIDDEN = (errno.EPERM, errno.EACCES)


def attach(cgroup_fd: int, rules: list[DeviceRule]) -> None:
    """Attach a program for the rules and drop the earlier ones; takes and closes `cgroup_fd`.

    There is no moment without a program: one is replaced atomically (Linux 5.6), or the new one is attached beside the
    old ones (all must allow) before those go.  Rules that allow everything need no program.
    Raises SyscallError; refusals in a user namespace are ignored if the rules allow everything.
    """
    try:
        _attach(cgroup_fd, rules)
    except OSError as error:
        if error.errno in _FORBIDDEN and in_user_namespace() and allows_everything(rules):
            return
        notes = "".join(getattr(error, "__notes__", []))
        raise SyscallError.of("bpf", f"{error.filename} (device rules)", error, notes) from None
    finally:
        os.close(cgroup_fd)


def _attach(cgroup_fd: int, rules: list[DeviceRule]) -> None:
    before = []
    try:
        for id in bpf.query(cgroup_fd):
            try:
                before.append(bpf.by_id(id))
            except OSError as error:
                if error.errno not in (*_FORBIDDEN, errno.ENOENT):  # an LSM hides it; or it is gone
                    raise
        if not allows_everything(rules):
            program = _load(assemble(build(rules)))
            try:
                if len(before) == 1 and _replace(cgroup_fd, program, before[0]):
                    return
                bpf.attach(cgroup_fd, program)
            finally:
                os.close(program)
        for old in before:
            bpf.detach(cgroup_fd, old)
    finally:
        for old in before:
            os.close(old)


def _replace(cgroup_fd: int, program: int, old: int) -> bool:
    try:
        bpf.attach(cgroup_fd, program, flags=bpf.ALLOW_MULTI | bpf.REPLACE, replace_fd=old)
    except OSError as error:
        # EINVAL: before 5.6.  ENOENT, EPERM: the old one was attached in another mode than ours.
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.EPERM):
            return False
        raise
    return True


def _load(program: bytes) -> int:
    """Before Linux 5.11 programs count against RLIMIT_MEMLOCK: EPERM.  Raise it for the moment of the load only."""
    try:
        return bpf.load(program, name=NAME)
    except PermissionError as error:
        from seatrial.native.syscall import RLIM_INFINITY, prlimit

        try:
            limits = prlimit(0, RLIMIT_MEMLOCK, (RLIM_INFINITY, RLIM_INFINITY))
        except OSError:
            raise error from None
        try:
            return bpf.load(program, name=NAME)
        finally:
            prlimit(0, RLIMIT_MEMLOCK, limits)
