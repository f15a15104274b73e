"""Being told of what happens in a cgroup: out of memory, memory pressure, the end.

    with container.notify_oom() as notification:
        for count in notification:          # blocks; ends when the cgroup, or on v2 its last process, is gone
            ...

v1   cgroup.event_control ties memory.oom_control or memory.pressure_level to an eventfd (cgroup-v1/memory.rst); the
     kernel writes to it once more when the cgroup is removed
v2   inotify on memory.events and cgroup.events (cgroup-v2.rst); for pressure a trigger in memory.pressure (psi.rst,
     Linux 5.2; 6.5 for callers without CAP_SYS_RESOURCE)
"""

from __future__ import annotations

import errno
import os

from seatrial.native.syscall import POLLERR, POLLHUP, POLLIN, poll
from seatrial.runtime.cgroup.files import read_or, write
from seatrial.runtime.errors import StateError, SyscallError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

LEVELS = ("low", "medium", "critical")

POLLPRI = 0x002
# level -> what a trigger on v2 is told: tasks waited so long (microseconds) within two seconds, the shortest window
# that is open to everybody.  v1 counts how hard reclaim is; there is no translation, only the same three steps.
_TRIGGERS = {"low": "some 100000 2000000", "medium": "some 500000 2000000", "critical": "full 500000 2000000"}


class Notification:
    """A source of events.  Close it, or use it in a with statement.

    `wait` and iterating do the waiting.  Who has a loop of their own polls `fileno()` for `poll_events` and calls
    ``wait(0)`` then; of a pressure trigger on v2 the poll itself has taken the event already.
    """

    poll_events = POLLIN

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.ended = False  # there will be no more events

    def fileno(self) -> int:
        """The descriptor; ValueError when closed."""
        if self._fd < 0:
            raise ValueError("the notification is closed")
        return self._fd

    def wait(self, seconds: float | None = None) -> int:
        """Wait for events and return how many there were; 0 after `seconds`, and when the cgroup has gone (`ended`)."""
        import time

        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.ended:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                ready = poll([self.fileno()], -1 if left is None else int(left * 1000 + 0.999), self.poll_events)
            except InterruptedError:
                continue
            if ready:
                count = self._take(ready[0][1])
                if count:
                    return count
            elif left is not None:
                break
        return 0

    def _take(self, revents: int) -> int:
        """The events that made the descriptor ready; sets `ended`."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        """The counts, until the end."""
        while True:
            count = self.wait()
            if not count:
                return
            yield count

    def close(self) -> None:
        """Release the descriptors; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


class EventfdNotification(Notification):
    """v1: an eventfd that is registered for a file of a memory cgroup."""

    def __init__(self, directory: str, name: str, argument: str = "") -> None:
        super().__init__(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._control = f"{directory}/cgroup.event_control"
        try:
            try:
                watched = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise SyscallError.of("open", f"{directory}/{name}", error) from None
            try:
                write(directory, "cgroup.event_control", f"{self._fd} {watched} {argument}".rstrip())
            finally:
                os.close(watched)
        except BaseException:
            self.close()
            raise

    def _take(self, revents: int) -> int:
        try:
            count = os.eventfd_read(self._fd)
        except BlockingIOError:
            return 0
        if not os.path.exists(self._control):  # the last event says that the cgroup was removed
            self.ended = True
            return count - 1
        return count


class EventsNotification(Notification):
    """v2: inotify on the event files.  The kernel tells that one has changed; what has, is read from it.

    `memory` False: only the end is watched for.
    """

    def __init__(self, directory: str, memory: bool = True) -> None:
        from seatrial.native import inotify

        super().__init__(inotify.init())
        self._directory = directory
        try:
            for name in ["memory.events"] * memory + ["cgroup.events"]:
                try:
                    inotify.add_watch(self._fd, f"{directory}/{name}")
                except OSError as error:
                    hint = "the memory controller is not available in this cgroup" if name == "memory.events" else ""
                    raise SyscallError.of("inotify_add_watch", f"{directory}/{name}", error, hint) from None
            self._seen = self._kills()
            self._look()
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float | None = None) -> int:
        """Like the base's; a removed cgroup gives no inotify event everywhere, so its absence is looked for, too."""
        import time

        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.ended:
            left = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
            count = super().wait(left)
            if count:
                return count
            self._look()
            if deadline is not None and time.monotonic() >= deadline:
                break
        return 0

    def _take(self, revents: int) -> int:
        from seatrial.native import inotify

        inotify.read_events(self._fd)
        self._look()
        before, self._seen = self._seen, max(self._seen, self._kills())
        return self._seen - before

    def _look(self) -> None:
        if "populated 1" not in read_or(self._directory, "cgroup.events", "").splitlines():
            self.ended = True

    def _kills(self) -> int:
        for line in read_or(self._directory, "memory.events", "").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0


class PressureNotification(Notification):
    """v2: a trigger of pressure stall information."""

    poll_events = POLLPRI

    def __init__(self, directory: str, level: str) -> None:
        path = f"{directory}/memory.pressure"
        try:
            super().__init__(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            raise SyscallError.of("open", path, error, "the kernel needs pressure stall information (psi=1)") from None
        trigger = _TRIGGERS[level]
        try:
            os.write(self._fd, trigger.encode() + b"\0")
        except OSError as error:
            self.close()
            hint = "needs Linux 6.5, or CAP_SYS_RESOURCE" if error.errno in (errno.EINVAL, errno.EPERM) else ""
            raise SyscallError.of("write", f"{trigger} to {path}", error, hint) from None

    def _take(self, revents: int) -> int:
        if revents & (POLLERR | POLLHUP):
            self.ended = True
            return 0
        return 1


def oom(cgroup_paths: dict[str, str]) -> Notification:
    """A notification for each time the kernel kills for want of memory (v2), or is out of it (v1: one per oom event).

    Raises StateError without a memory cgroup, SyscallError.
    """
    if "memory" in cgroup_paths:
        return EventfdNotification(cgroup_paths["memory"], "memory.oom_control")
    return EventsNotification(_unified(cgroup_paths))


def end(cgroup_paths: dict[str, str]) -> Notification | None:
    """A notification without events that ends with the container; None where the kernel has none: on v1."""
    return EventsNotification(cgroup_paths[""], memory=False) if list(cgroup_paths) == [""] else None


def memory_pressure(cgroup_paths: dict[str, str], level: str) -> Notification:
    """A notification for memory pressure of a level: low, medium or critical.

    Raises UsageError for another level, StateError without a memory cgroup, SyscallError.
    """
    if level not in LEVELS:
        raise UsageError(f"memory pressure level {level!r}", f"use {', '.join(LEVELS)}")
    if "memory" in cgroup_paths:
        return EventfdNotification(cgroup_paths["memory"], "memory.pressure_level", level)
    return PressureNotification(_unified(cgroup_paths), level)


def _unified(cgroup_paths: dict[str, str]) -> str:
    if "" not in cgroup_paths:
        raise StateError("the container has no memory cgroup", "mount the memory controller")
    return cgroup_paths[""]
