"""Seccomp filters and user notifications: seccomp(2), seccomp_unotify(2) (Linux 5.0; addfd 5.9, its SEND flag 5.14)."""

from __future__ import annotations

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import checked

FILTER_FLAG_TSYNC = 1
FILTER_FLAG_LOG = 2
FILTER_FLAG_SPEC_ALLOW = 4
FILTER_FLAG_NEW_LISTENER = 8
FILTER_FLAG_TSYNC_ESRCH = 16
FILTER_FLAG_WAIT_KILLABLE_RECV = 32

USER_NOTIF_CONTINUE = 1
ADDFD_SETFD = 1
ADDFD_SEND = 2

INSTRUCTION_BYTES = 8


def load_filter(program: bytes, flags: int = 0) -> int:
    """Install a filter of struct sock_filter in the calling thread (TSYNC: in all).

    Returns the listener with NEW_LISTENER, else 0.

    Needs no_new_privs or CAP_SYS_ADMIN (EACCES).  EBUSY: the filter chain has a listener already.
    """
    return checked(lib.seatrial_seccomp_load(program, len(program) // INSTRUCTION_BYTES, flags), "seccomp", "filter")


def supported_flags() -> int:
    """The FILTER_FLAG_* bits that this kernel knows, TSYNC_ESRCH left out: it answers EFAULT to a null filter then."""
    flags = 0
    for flag in (FILTER_FLAG_TSYNC, FILTER_FLAG_LOG, FILTER_FLAG_SPEC_ALLOW, FILTER_FLAG_NEW_LISTENER):
        flags |= flag if _is_known(flag) else 0
    if _is_known(FILTER_FLAG_NEW_LISTENER | FILTER_FLAG_WAIT_KILLABLE_RECV):
        flags |= FILTER_FLAG_WAIT_KILLABLE_RECV  # EINVAL by itself
    return flags


def _is_known(flags: int) -> bool:
    error: int = lib.seatrial_seccomp_probe(flags)
    return error == -14  # EFAULT


class Notification:
    """A system call that waits for our answer.  `pid` is the thread in our pid namespace, 0: not visible here."""

    __slots__ = ("architecture", "arguments", "flags", "id", "instruction_pointer", "number", "pid")

    def __init__(self, fields: list[int]) -> None:
        self.id, self.pid, self.flags, number, self.architecture, self.instruction_pointer = fields[:6]
        self.number = number if number < 1 << 63 else number - (1 << 64)
        self.arguments = tuple(fields[6:12])


def receive(listener: int) -> Notification:
    """Wait for the next notification.  FileNotFoundError (ENOENT): its thread was killed meanwhile; ask again."""
    result = ffi.new("uint64_t[12]")
    checked(lib.seatrial_seccomp_receive(listener, result), "ioctl", "SECCOMP_IOCTL_NOTIF_RECV")
    return Notification(list(result))


def answer(listener: int, id: int, *, value: int = 0, error: int = 0, proceed: bool = False) -> None:
    """End a notified call with a value, with an errno (positive), or let it go on in the kernel.

    FileNotFoundError (ENOENT): the call was interrupted or its thread is gone.
    """
    flags = USER_NOTIF_CONTINUE if proceed else 0
    checked(lib.seatrial_seccomp_send(listener, id, value, -error, flags), "ioctl", "SECCOMP_IOCTL_NOTIF_SEND")


def is_valid(listener: int, id: int) -> bool:
    """Whether the notified call still waits: ask after opening anything by its pid."""
    return lib.seatrial_seccomp_id_valid(listener, id) == 0


def add_fd(
    listener: int, id: int, fd: int, *, number: int | None = None, cloexec: bool = False, answer: bool = False
) -> int:
    """Install a duplicate of `fd` in the notified process; its number there.  answer: also end the call with it."""
    flags = (ADDFD_SETFD if number is not None else 0) | (ADDFD_SEND if answer else 0)
    result = lib.seatrial_seccomp_addfd(listener, id, flags, fd, number or 0, 0o2000000 if cloexec else 0)
    return checked(result, "ioctl", "SECCOMP_IOCTL_NOTIF_ADDFD")
