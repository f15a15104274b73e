"""Small seccomp filters for tests, and threads to confine with them (a filter cannot be removed from a thread)."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from typing import Any

from seatrial.native import seccomp
from seatrial.native.syscall import PR_SET_NO_NEW_PRIVS, prctl

ARCHITECTURE = os.uname().machine
NUMBERS = {
    "x86_64": {"getppid": 110, "getpgid": 121, "dup3": 292},
    "aarch64": {"getppid": 173, "getpgid": 155, "dup3": 24},
}[ARCHITECTURE] | {"clone3": 435, "close_range": 436, "pidfd_open": 434}

KILL = 0x80000000
ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000


def fail_with(errno: int) -> int:
    """SECCOMP_RET_ERRNO."""
    return 0x00050000 | errno


def filter_of(actions: dict[str, int]) -> bytes:
    """A filter that does one thing to each named call and allows the others."""
    program = struct.pack("=HBBI", 0x20, 0, 0, 0)  # load the number
    for name, action in actions.items():
        program += struct.pack("=HBBI", 0x15, 0, 1, NUMBERS[name]) + struct.pack("=HBBI", 0x06, 0, 0, action)
    return program + struct.pack("=HBBI", 0x06, 0, 0, ALLOW)


def in_thread(work: Callable[[], Any]) -> Any:
    """The result of `work` in a thread of its own; what it raises is raised here."""
    box: list[Any] = []

    def body() -> None:
        try:
            box.extend((True, work()))
        except BaseException as error:
            box.extend((False, error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert box, "the thread did not finish"
    if box[0]:
        return box[1]
    raise box[1]


def confined(actions: dict[str, int], work: Callable[[], Any]) -> Any:
    """`in_thread`, under a filter."""

    def body() -> Any:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        seccomp.load_filter(filter_of(actions))
        return work()

    return in_thread(body)
