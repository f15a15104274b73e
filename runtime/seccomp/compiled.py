"""A compiled seccomp profile."""

from __future__ import annotations


class CompiledFilter:
    """What seccomp(2) takes: an array of struct sock_filter, and SECCOMP_FILTER_FLAG_* bits.

    `notify`: a listener is to be asked for (the flag for that is not in `flags`).
    """

    __slots__ = ("filter", "flags", "notify")

    def __init__(self, filter: bytes, flags: int, notify: bool) -> None:
        self.filter = filter
        self.flags = flags
        self.notify = notify
