"""Run one command line to its end: own session, output in files (a container that keeps them open blocks nobody), a
time limit."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.conformance.mask.spawner import starter

OUTPUT_LIMIT = 8 << 20  # bytes of a stream that are kept


class Stream:
    """An unlinked file in `directory` that takes a standard stream; closed when nobody refers to it any more."""

    def __init__(self, directory: str | None) -> None:
        self.fd, path = tempfile.mkstemp(dir=directory)
        os.unlink(path)

    def read(self) -> str:
        """The content so far, without moving the offset, which the writers share."""
        data = os.pread(self.fd, OUTPUT_LIMIT, 0)
        return data.decode("utf-8", "backslashreplace")

    def __del__(self) -> None:
        os.close(self.fd)


@dataclass(slots=True, repr=False)
class Result:
    """How an invocation ended.  `status` is the exit status, or -N when signal N ended it.  Streams that still grow
    (a detached container writes to them) can be read again with `output()`."""

    argv: tuple[str, ...]
    env: dict[str, str]
    status: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool
    stream: Stream
    masks: tuple[str, ...] = ()  # behind which it ran (mask/names.py)

    @property
    def ok(self) -> bool:
        """Exit status 0."""
        return self.status == 0

    @property
    def crashed(self) -> bool:
        """Ended by a signal (a segfault, an abort, or our time limit)."""
        return self.status < 0

    def output(self) -> str:
        """Everything written to the standard output up to now, by the runtime and by the container that inherited
        it."""
        return self.stream.read()

    def check(self) -> Result:
        """Itself; Finding when the status is not 0."""
        if self.status != 0:
            said = tail((self.stderr or self.stdout).strip())
            last = said.splitlines()[-1] if said else "it said nothing"
            raise Finding(f"{self.describe()}: {last}" + (f"\n{said}" if "\n" in said else ""))
        return self

    def describe(self) -> str:
        """One line: the command, shortened (evidence has it in full), and how it ended."""
        return f"{' '.join(shortened(self.argv))}: {self.ending()}"

    def ending(self) -> str:
        """How it ended: `exit status 1`, `ended by signal 11`, `killed after 10.0 s`."""
        if self.timed_out:
            return f"killed after {self.seconds:.1f} s"
        return f"ended by signal {-self.status}" if self.status < 0 else f"exit status {self.status}"

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


def shortened(argv: tuple[str, ...]) -> list[str]:
    """A command line for people: programs and bundles by their names, without the state directory."""
    words = [os.path.basename(argv[0])]
    rest = iter(argv[1:])
    for word in rest:
        if word == "--root":
            next(rest, None)
        else:
            words.append(os.path.basename(word) if word.startswith("/") and words[-1] == "--bundle" else word)
    return words


def tail(text: str, limit: int = 2000) -> str:
    """The last characters of a text."""
    return text if len(text) <= limit else "..." + text[-limit:]


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended; a zombie has (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_pidfd(pidfd: int, seconds: float) -> bool:
    """True when the process behind a pidfd ended within the time (pidfd_open(2): readable at the end)."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0, seconds) * 1000))


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started: `streams` become its standard streams, `timeout` (seconds) is how long it may run."""

    argv: list[str]
    env: dict[str, str]
    timeout: float
    cwd: str | None
    streams: tuple[int, int, int]
    pass_fds: tuple[int, ...]
    masks: tuple[str, ...]


def follow(start: Start, wait: Callable[[int, float], bool] = wait_pidfd) -> tuple[int, bool]:
    """Start a program and wait for its end: (status as in Result, whether it was killed because the time was up).

    `wait` gets a pidfd and seconds.  EnvironmentProblem when it cannot be started."""

    def start_it() -> subprocess.Popen[bytes]:
        stdin, stdout, stderr = start.streams
        return subprocess.Popen(
            start.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=start.env,
            cwd=start.cwd,
            pass_fds=start.pass_fds,
            start_new_session=True,
        )

    timed_out = False
    with starter(start.masks) as begin:
        try:
            process = begin(start_it)
        except OSError as error:
            raise EnvironmentProblem(f"cannot start {start.argv[0]}: {error.strerror}") from error
        pidfd = os.pidfd_open(process.pid)
        try:
            timed_out = not wait(pidfd, start.timeout)
        finally:
            os.close(pidfd)
            if process.poll() is None:
                kill_group(process.pid)
            status: int = process.wait()
    return status, timed_out


def execute(
    argv: list[str],
    *,
    env: dict[str, str],
    timeout: float,
    stdin: bytes | int | None = None,
    cwd: str | None = None,
    pass_fds: tuple[int, ...] = (),
    directory: str | None = None,
    masks: tuple[str, ...] = (),
    output: int | None = None,
    way: Callable[[Start], tuple[int, bool]] = follow,
) -> Result:
    """Run `argv` for at most `timeout` seconds.

    `stdin` is the input's bytes, a descriptor, or None for an empty file.  `directory` holds the (unlinked) output
    files; `masks` names the masks that it runs behind.  `output` is a descriptor that takes both output streams, of
    which nothing is kept then.  When the time is up, the whole process group is killed and
    `timed_out` is set.  `way` starts it and waits.  EnvironmentProblem when it cannot be started.
    """
    stdout, stderr = Stream(directory), Stream(directory)
    given: Stream | None = None
    if isinstance(stdin, int):
        source = stdin
    else:
        # A file, not the host's /dev/null: some runtimes give the ownership of their stdin to the container's user.
        given = Stream(directory)
        os.pwrite(given.fd, stdin or b"", 0)
        source = given.fd
    streams = (source, stdout.fd if output is None else output, stderr.fd if output is None else output)
    start = time.monotonic()
    status, timed_out = way(Start(argv, env, timeout, cwd, streams, pass_fds, masks))
    seconds = time.monotonic() - start
    return Result(tuple(argv), env, status, stdout.read(), stderr.read(), seconds, timed_out, stdout, masks)


def kill_group(pid: int) -> None:
    """SIGKILL for every process of a group, if there is any."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
