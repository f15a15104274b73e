"""Signals that come while something is made wait until it is written down: what nobody knows of, nobody takes back."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable
else:
    import _signal

INTERRUPTIONS = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM)


class Deferred:
    """A with block that SIGHUP, SIGINT and SIGTERM do not interrupt (pthread_sigmask(3), of the calling thread); a
    handler that one of them has runs at its end, and may raise there."""

    __slots__ = ("before",)

    before: Iterable[int]

    def __enter__(self) -> None:
        self.before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, INTERRUPTIONS)
        except BaseException:  # of a handler; the signals are blocked all the same
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self.before)
            raise

    def __exit__(self, *_exception: object) -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.before)
