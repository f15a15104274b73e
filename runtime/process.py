"""A program to run in a container, and its end."""

from __future__ import annotations

import _thread
import os

from seatrial.runtime.errors import StateError
from seatrial.runtime.user import is_numeric, parse_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from seatrial.runtime import config


class Process:
    """One run of one program.  It can be started once; `clone` makes another one to start.

    `stdin`, `stdout` and `stderr` are descriptors of this process (`pipes` makes new ones); `extra_fds` become 3, 4 ...
    in the program.  With `terminal` the program gets a pty instead: `console_socket` is the path of the socket that
    wants its master, without one the master is `master` after the start and belongs to the caller.  `pid_file` is
    written once the process is set up, and `pidfd_socket` is the path of a socket that gets its pidfd then.

    From `capabilities` on, a member that is None or empty leaves the container's own value in force.
    """

    PUBLIC = (
        "args", "env", "cwd", "uid", "gid", "user", "additional_gids", "umask", "terminal", "console_width",
        "console_height", "stdin", "stdout", "stderr", "extra_fds", "console_socket", "pid_file", "pidfd_socket",
        "capabilities", "rlimits", "scheduler", "io_priority", "oom_score_adj", "no_new_privileges", "apparmor_profile",
        "process_label", "cpu_affinity", "sub_cgroups",
    )  # fmt: skip
    _OF_CONFIG = (
        "args", "cwd", "env", "uid", "gid", "user", "additional_gids", "umask", "terminal", "console_width",
        "console_height",
    )  # fmt: skip
    # Member of the Config that each one overrides.
    _OVERRIDES = (
        ("capabilities", "capabilities"), ("rlimits", "rlimits"), ("scheduler", "scheduler"),
        ("io_priority", "io_priority"), ("oom_score_adj", "oom_score_adj"), ("no_new_privileges", "no_new_privileges"),
        ("apparmor_profile", "apparmor_profile"), ("process_label", "process_label"),
        ("cpu_affinity", "exec_cpu_affinity"),
    )  # fmt: skip

    def __init__(
        self,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        cwd: str = "/",
        uid: int = 0,
        gid: int = 0,
        user: str = "",
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
        pidfd_socket: str = "",
        capabilities: config.Capabilities | None = None,
        rlimits: Sequence[config.Rlimit] = (),
        scheduler: config.Scheduler | None = None,
        io_priority: config.IOPriority | None = None,
        oom_score_adj: int | None = None,
        no_new_privileges: bool | None = None,
        apparmor_profile: str = "",
        process_label: str = "",
        cpu_affinity: config.CPUAffinity | None = None,
        sub_cgroups: Mapping[str, str] | None = None,
    ) -> None:
        self.args = list(args)
        self.env = list(env)  # "NAME=value"
        self.cwd = cwd  # absolute, in the container
        self.uid = uid  # in the container's user namespace
        self.gid = gid
        self.user = user  # UID, UID:GID, NAME or NAME:GROUP, looked up in the container: in place of uid and gid
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
        self.pidfd_socket = pidfd_socket
        self.capabilities = capabilities
        self.rlimits = list(rlimits)
        self.scheduler = scheduler
        self.io_priority = io_priority
        self.oom_score_adj = oom_score_adj
        self.no_new_privileges = no_new_privileges
        self.apparmor_profile = apparmor_profile
        self.process_label = process_label  # SELinux
        self.cpu_affinity = cpu_affinity  # for `exec`
        # For `exec`: controller (on v2, and for all of v1: "") -> cgroup below the container's, which must exist.
        self.sub_cgroups = dict(sub_cgroups or {})
        self.master = -1
        self._lock = _thread.allocate_lock()
        self._started = False
        self._pid = 0
        self._pidfd = -1
        self._exit: int | None = None
        self._child_ends: list[int] = []

    @classmethod
    def from_config(cls, process: config.Process | None) -> Process:
        """The process of a Config; of one without process, a Process without args."""
        if process is None:
            return cls([])
        return cls(**{name: getattr(process, name) for name in cls._OF_CONFIG})

    def to_config(self) -> config.Process | None:
        """What a Config says of this process; None without args."""
        from seatrial.runtime import config

        if not self.args:
            return None
        return config.Process(**{name: copied(getattr(self, name)) for name in self._OF_CONFIG})

    def differs_from(self, config: config.Config) -> bool:
        """Whether `apply_to` would change this Config."""
        if self.to_config() != config.process or (self.user and is_numeric(self.user)):
            return True
        return any(
            getattr(self, name) not in (None, "", []) and getattr(self, name) != getattr(config, member)
            for name, member in self._OVERRIDES
        )

    def apply_to(self, config: config.Config) -> None:
        """Put this process and what it overrides into a container's Config (libcontainer's rule: what is given wins).

        Raises UsageError for a `user` that cannot be one.
        """
        process = self.to_config()
        if process is not None and process.user and is_numeric(process.user):
            user, group = parse_user(process.user)
            process.uid = int(user)
            process.gid = int(group) if group else process.gid
            process.user = ""
        config.process = process
        for name, member in self._OVERRIDES:
            value = getattr(self, name)
            if value not in (None, "", []):
                setattr(config, member, copied(value))

    def pipes(self) -> tuple[int, int, int]:
        """Give the program pipes for stdin, stdout and stderr, and return our ends: to write, to read, to read.

        The caller closes them; the program's own ends close with the start.  Raises StateError after it, OSError.
        """
        if self._started:
            raise StateError("the process has been started already", "make the pipes before the start")
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for number in range(3):
                read, write = os.pipe2(os.O_CLOEXEC)
                ours.append(read if number else write)
                theirs.append(write if number else read)
        except OSError:
            for fd in (*ours, *theirs):
                os.close(fd)
            raise
        self.close_child_ends()
        self._child_ends = theirs
        self.stdin, self.stdout, self.stderr = theirs
        return ours[0], ours[1], ours[2]

    def close_child_ends(self) -> None:
        """Close the program's ends of `pipes`: the program has its own by now, or never will."""
        ends, self._child_ends = self._child_ends, []
        for fd in ends:
            os.close(fd)

    def clone(self) -> Process:
        """Another Process with the same public fields, not started."""
        return Process(**{name: copied(getattr(self, name)) for name in self.PUBLIC})

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

    def adopt(self, started: Process) -> None:
        """Take the terminal of the clone that was started in this one's place."""
        if started is not self:
            self.master, started.master = started.master, -1

    def _close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __del__(self) -> None:
        if getattr(self, "_pidfd", -1) >= 0:
            self._close()
        if getattr(self, "_child_ends", None):
            self.close_child_ends()


def copied(value: Any) -> Any:
    """A value of a public field that shares nothing with it: lists, dicts and records anew, down to their items."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value.copy() if hasattr(value, "copy") else value
