"""A program to run in a container, and its end."""

from __future__ import annotations

import _thread
import os

from seatrial.runtime.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.runtime import config


class Process:
    """One run of one program.  It can be started once; `clone` makes another one to start.

    `stdin`, `stdout` and `stderr` are descriptors of this process; `extra_fds` become 3, 4 ... in the program.  With
    `terminal` the program gets a pty instead: `console_socket` is the path of the socket that wants its master, without
    one the master is `master` after the start and belongs to the caller.  `pid_file` is written once the process is
    set up.
    """

    PUBLIC = (
        "args", "env", "cwd", "uid", "gid", "additional_gids", "umask", "terminal", "console_width", "console_height",
        "stdin", "stdout", "stderr", "extra_fds", "console_socket", "pid_file",
    )  # fmt: skip

    def __init__(
        self,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "/",
        uid: int = 0,
        gid: int = 0,
        additional_gids: Sequence[int] = (),
        umask: int | None = None,
        terminal: bool = False,
        console_width: int = 0,
        console_height: int = 0,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
        extra_fds: Sequence[int] = (),
        console_socket: str = "",
        pid_file: str = "",
    ) -> None:
        self.args = list(args)
        self.env = list(env)  # "NAME=value"
        self.cwd = cwd  # absolute, in the container
        self.uid = uid  # in the container's user namespace
        self.gid = gid
        self.additional_gids = list(additional_gids)
        self.umask = umask  # None: the caller's stays
        self.terminal = terminal
        self.console_width = console_width  # columns; 0: not given
        self.console_height = console_height
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.extra_fds = list(extra_fds)
        self.console_socket = console_socket
        self.pid_file = pid_file
        self.master = -1
        self._lock = _thread.allocate_lock()
        self._started = False
        self._pid = 0
        self._pidfd = -1
        self._exit: int | None = None

    @classmethod
    def from_config(cls, process: config.Process | None) -> Process:
        """The process of a Config; of one without process, a Process without args."""
        if process is None:
            return cls([])
        return cls(
            process.args,
            env=process.env,
            cwd=process.cwd,
            uid=process.uid,
            gid=process.gid,
            additional_gids=process.additional_gids,
            umask=process.umask,
            terminal=process.terminal,
            console_width=process.console_width,
            console_height=process.console_height,
        )

    def to_config(self) -> config.Process | None:
        """What a Config says of this process; None without args."""
        from seatrial.runtime import config

        if not self.args:
            return None
        return config.Process(
            args=list(self.args),
            cwd=self.cwd,
            env=list(self.env),
            uid=self.uid,
            gid=self.gid,
            additional_gids=list(self.additional_gids),
            umask=self.umask,
            terminal=self.terminal,
            console_width=self.console_width,
            console_height=self.console_height,
        )

    def clone(self) -> Process:
        """Another Process with the same public fields, not started."""
        return Process(**{name: getattr(self, name) for name in self.PUBLIC})

    @property
    def pid(self) -> int:
        """The pid as this process sees it.  Raises StateError before the start."""
        if not self._pid:
            raise StateError("the process has not been started")
        return self._pid

    @property
    def pidfd(self) -> int:
        """A descriptor that polls readable once the process has ended; -1 where the kernel has none (before 5.3)."""
        return self._pidfd

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end and return the exit status as a shell gives it: 0 to 255, 128 + signal when killed.

        With `seconds`, None when it still runs after that time.  May be called again, and from several threads.
        """
        import time

        from seatrial.runtime.wait import wait_readable

        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.collect():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            if self._pidfd >= 0:
                wait_readable([self._pidfd], left)
            else:
                time.sleep(0.005)
        return self._exit

    def collect(self) -> bool:
        """Whether the process has ended; if so it is reaped (once) and `wait` knows its status."""
        from seatrial.runtime.wait import exit_code

        pid = self.pid
        with self._lock:
            if self._exit is None:
                reaped, status = os.waitpid(pid, os.WNOHANG)
                if reaped:
                    self._exit = exit_code(status)
            return self._exit is not None

    def note_exit(self, status: int) -> None:
        """Take an exit status from whoever reaped the process with the others of its kind."""
        with self._lock:
            if self._exit is None:
                self._exit = status

    @property
    def started(self) -> bool:
        """Whether there is, or was, a running process."""
        return self._pid > 0

    def signal(self, number: int) -> None:
        """Send a signal.  Raises StateError before the start, ProcessLookupError after the end."""
        with self._lock:
            if self._exit is not None:
                raise ProcessLookupError(3, "the process has ended")
            os.kill(self.pid, number)  # our child, not reaped: the pid is still its own

    def begin(self) -> None:
        """Claim the one start.  Raises StateError the second time, whatever became of the first."""
        with self._lock:
            if self._started:
                raise StateError("the process has been started already", "start a clone() of it")
            self._started = True

    def began(self, pid: int, pidfd: int) -> None:
        """Note the process that the start made; the pidfd becomes this object's."""
        self._pid = pid
        self._pidfd = pidfd

    def _close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __del__(self) -> None:
        if getattr(self, "_pidfd", -1) >= 0:
            self._close()
