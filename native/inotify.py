"""inotify(7): a descriptor that becomes readable when watched files change.  It does not block, and closes on exec."""

from __future__ import annotations

import os

from seatrial.native._native import lib
from seatrial.native.syscall import checked, encoded

IN_MODIFY = 0x002
IN_DELETE_SELF = 0x400
IN_IGNORED = 0x8000  # in an event: the file of this watch is gone

_HEADER = 16  # wd, mask, cookie, length of the name: four times 32 bits


def init() -> int:
    """inotify_init1(2): a new descriptor without watches."""
    return checked(lib.seatrial_inotify_init(), "inotify_init1")


def add_watch(fd: int, path: str | bytes, mask: int = IN_MODIFY) -> int:
    """inotify_add_watch(2): the number of the watch.  FileNotFoundError when there is no such file."""
    return checked(lib.seatrial_inotify_add_watch(fd, encoded(path), mask), "inotify_add_watch", path)


def read_events(fd: int) -> list[tuple[int, int]]:
    """What has happened since the last time, as (watch, mask); empty when nothing has."""
    from struct import unpack_from

    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return []
    events = []
    at = 0
    while at < len(data):
        watch, mask, _cookie, name = unpack_from("=iIII", data, at)
        events.append((watch, mask))
        at += _HEADER + name
    return events
