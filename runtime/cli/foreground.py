"""A `run` or `exec` in the foreground: signals go to the program, its orphans are reaped, its terminal is relayed."""

from __future__ import annotations

import os

from seatrial.runtime.errors import ContainerNotFoundError
from seatrial.runtime.wait import exit_code, wait_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType

    from seatrial.runtime.console import Relay
    from seatrial.runtime.container import Container
    from seatrial.runtime.process import Process
    from seatrial.runtime.readiness import NotifySocket
else:
    import _signal

# What is not passed on: what cannot be caught, what is ours (CHLD, WINCH, URG as in runc), and faults of our own.
_KEPT = ("SIGKILL", "SIGSTOP", "SIGCHLD", "SIGWINCH", "SIGURG", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL")
# What has a meaning of its own before the program runs.
_WAITING = ("SIGHUP", "SIGINT", "SIGTERM", "SIGCHLD", "SIGWINCH")


class Foreground:
    """Waits for the program.

    Made before the start, so that a signal which comes as soon as the program runs is not lost, nor the end of the
    runtime: it is kept until `wait`.  HUP, INT and TERM end the set-up until then (see `main._terminate`).
    """

    def __init__(self, process: Process, notify: NotifySocket | None = None) -> None:
        self.process = process
        self.notify = notify
        self.relay: Relay | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # A signal becomes a byte of a pipe; no Python code runs at an awkward moment.
        _signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        kept = {getattr(_signal, name) for name in (*_KEPT, *_WAITING)}
        for number in range(1, _signal.NSIG):
            if number not in kept:
                _note(number)

    def wait(self) -> int:
        """Pass signals on until the program ends; its exit status as a shell gives it."""
        process = self.process
        for name in _WAITING:
            _note(getattr(_signal, name))
        if process.master >= 0:
            from seatrial.runtime.console import Relay

            self.relay = Relay(process.master)
            process.master = -1
        pidfd = process.pidfd
        while (status := self._reap()) is None:
            fds = [self._wake_read] + ([pidfd] if pidfd >= 0 else [])
            if self.relay is not None:
                fds += [self.relay.master] + ([0] if self.relay.input_open else [])
            if self.notify is not None:
                fds.append(self.notify.fd)
            ready = wait_readable(fds, None if pidfd >= 0 else 0.01)
            if self._wake_read in ready:
                self._forward(os.read(self._wake_read, 512))
            if self.relay is not None:
                self._copy(ready)
            # The service manager watches this process: it stays for as long as the program does.
            if self.notify is not None and self.notify.fd in ready and self.notify.take(os.getpid()):
                self.notify.close()
                self.notify = None
        while self.relay is not None and self.relay.output():
            pass
        return status

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            if number == _signal.SIGCHLD:
                continue
            if number == _signal.SIGWINCH:
                if self.relay is not None:
                    self.relay.resize()
                continue
            try:
                self.process.signal(number)
            except ProcessLookupError:
                pass

    def _copy(self, ready: list[int]) -> None:
        relay = self.relay
        assert relay is not None
        if 0 in ready:
            relay.input()
        if relay.master in ready and not relay.output():
            relay.close()
            self.relay = None

    def _reap(self) -> int | None:
        """Reap the program and, as sub-reaper, whatever it orphaned; the program's exit status once there is one."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            if pid == self.process.pid:
                self.process.note_exit(exit_code(status))
                return self.process.wait()

    def close(self) -> None:
        """Restore the terminal."""
        if self.relay is not None:
            self.relay.close()
            self.relay = None
        if self._wake_read >= 0:
            _signal.set_wakeup_fd(-1)
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = -1


def attend(
    container: Container,
    process: Process,
    begin: Callable[[], None],
    *,
    keep: bool = False,
    notify: NotifySocket | None = None,
) -> int:
    """`begin` the container's process, wait for its end, and remove the container unless it is to be kept.

    The exit status is as a shell gives it, 0 to 255.  Raises what `begin` raises, which has removed the container then;
    an interruption afterwards removes it here.
    """
    foreground = Foreground(process, notify)
    try:
        begin()
        status = foreground.wait()
    except BaseException:
        if process.started:
            _remove(container)
        raise
    finally:
        foreground.close()
    if not keep:
        _remove(container)
    return status


def _remove(container: Container) -> None:
    try:
        container.destroy(force=True)
    except ContainerNotFoundError:
        pass  # `checkpoint`, or `delete --force`, was faster


def _note(number: int) -> None:
    try:
        _signal.signal(number, _noted)
    except (OSError, ValueError):  # 32 and 33 belong to the C library
        pass


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has it."""
