"""A CRIU process that takes requests over a socket: `criu swrk`.  criu(8), criu.org/RPC.

RPC rather than the command line with an action script: image and work directory go as descriptors (numbers of this
process, which CRIU looks up in /proc), notifications come with the pid and are answered by this process (hooks,
state.json), the master of a restored terminal comes as a descriptor, and the restored init is a child of this process,
whose exit status can be waited for.
"""

from __future__ import annotations

import os

from seatrial.native import channel
from seatrial.runtime.criu import messages
from seatrial.runtime.criu.messages import Response
from seatrial.runtime.errors import CriuError, SyscallError, errno_name
from seatrial.runtime.wait import describe_exit, open_pidfd, wait_child, wait_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence
    from typing import Any

    from seatrial.runtime.log import Log

    # What to do for a notification: its name, its pid, and its descriptors, of which those that are kept are removed.
    Notified = Callable[[str, int, list[int]], None]
else:
    import _signal

MINIMUM = (3, 15)  # pid namespaces as external ones, the v2 freezer (3.14), notification status-ready
SOCKET = 3  # number in CRIU's process
FIRST = 4  # of the descriptors that are passed on
_DEFAULT_SIGNALS = (1, 2, 3, 6, 10, 12, 13, 14, 15, 17, 20, 21, 22, 25, 28)  # as for hooks
_ABORT_SECONDS = 20.0
_SHOWN_BYTES = 2048
_HINT = f"install criu {MINIMUM[0]}.{MINIMUM[1]} or newer, or name the program with --criu"


class Service:
    """One `criu swrk`.  After the answer to its one request call `end`; after a failure `abort`."""

    def __init__(
        self,
        program: str,
        fds: Sequence[int] = (),
        *,
        standard: tuple[int, int, int] | None = None,
        group: bool = True,
    ) -> None:
        """Start it.  `fds` become its descriptors from FIRST on, `standard` (else nothing, and a file) those below 3.

        `group`: in a process group of its own, so that Control-C at a terminal does not reach it.
        Raises CriuError when there is no such program.
        """
        self.program = program
        self.pid = 0
        self.output = os.memfd_create("criu", os.MFD_CLOEXEC)
        self.socket, theirs = channel.socketpair()
        try:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            try:
                numbers = [*(standard or (null, self.output, self.output)), theirs, *fds]
                self.pid = _spawn(program, numbers, group)
            finally:
                os.close(null)
            self.pidfd = open_pidfd(self.pid)
        except BaseException:
            os.close(self.socket)
            os.close(self.output)
            raise
        finally:
            os.close(theirs)

    def request(
        self,
        type: int,
        options: dict[str, Any] | None = None,
        features: tuple[str, ...] = (),
        notified: Notified | None = None,
    ) -> Response:
        """Send a request and return the response to it; `notified` is called for each notification on the way.

        What `notified` raises is raised again when CRIU has undone its work.  A response without success is returned.
        Raises CriuError when CRIU dies, or says what cannot be understood.
        """
        self._send(messages.request(type, options, features))
        while True:
            try:
                data, fds = channel.receive(self.socket)
            except InterruptedError:  # a handler has run, and let us go on
                continue
            except ConnectionResetError:
                data, fds = b"", []
            try:
                if not data:
                    raise CriuError(f"{self.program} ended without an answer{self._end()}{self.shown()}")
                try:
                    response = Response(data)
                except ValueError as error:
                    raise CriuError(f"{self.program} cannot be understood: {error}", _HINT) from None
                if response.type != messages.NOTIFY:
                    return response
                if notified is not None:
                    try:
                        notified(response.script, response.pid, fds)
                    except BaseException:
                        self._refuse()
                        raise
                self._send(messages.answer(True))
            finally:
                for fd in fds:
                    os.close(fd)

    def _refuse(self) -> None:
        """Tell CRIU that a notification failed, and wait until it has undone what it did."""
        try:
            channel.send(self.socket, messages.answer(False))
        except OSError:
            pass
        self.abort()

    def _send(self, data: bytes) -> None:
        try:
            channel.send(self.socket, data)
        except (BrokenPipeError, ConnectionResetError) as broken:
            if not wait_readable([self.socket], 0):  # it is there all the same, and waits for us
                raise SyscallError.of("sendmsg to", self.program, broken) from None
            # It has gone: the next receive tells.
        except OSError as error:
            raise SyscallError.of("sendmsg to", self.program, error) from None

    def end(self) -> None:
        """Close the socket and wait for the end: a request has been answered."""
        self._close()
        if self.pid:
            wait_child(self.pid, self.pidfd, None)
            self._forget()

    def abort(self) -> None:
        """Close the socket, at which CRIU undoes its work; kill it when it takes more than 20 s."""
        self._close()
        if self.pid:
            status = None
            try:
                status = wait_child(self.pid, self.pidfd, _ABORT_SECONDS)
            finally:  # also when a second signal does not let us wait
                if status is None:
                    os.kill(self.pid, _signal.SIGKILL)  # our child, not reaped: the pid is its own
                    os.waitpid(self.pid, 0)
                self._forget()

    def shown(self) -> str:
        """What it wrote before it had a log, with a colon in front; or nothing."""
        size = os.fstat(self.output).st_size
        text = os.pread(self.output, _SHOWN_BYTES, max(0, size - _SHOWN_BYTES)).decode("utf-8", "replace")
        return f": {' '.join(text.split())}" if text.strip() else ""

    def close(self) -> None:
        """`abort` if it is still there, and close the rest."""
        self.abort()
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _close(self) -> None:
        if self.socket >= 0:
            os.close(self.socket)
            self.socket = -1

    def _end(self) -> str:
        status = wait_child(self.pid, self.pidfd, 5)
        if status is None:
            return ""
        self._forget()
        return f" ({describe_exit(status)})"

    def _forget(self) -> None:
        self.pid = 0
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def _spawn(program: str, numbers: Sequence[int], group: bool) -> int:
    """Start `criu swrk 3` with `numbers` as its descriptors from 0 on."""
    import fcntl

    copies: list[int] = []
    try:
        # Above every target, so that no source is overwritten before its turn.
        copies += [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(numbers)) for fd in numbers]
        return os.posix_spawnp(
            program,
            [program, "swrk", str(SOCKET)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, copy, number) for number, copy in enumerate(copies)],
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
            setpgroup=0 if group else os.getpgrp(),
        )
    except OSError as error:
        raise CriuError(f"execute {program}: {errno_name(error.errno or 0)}", _HINT) from None
    finally:
        for copy in copies:
            os.close(copy)


def check_version(program: str, log: Log) -> tuple[int, int, int]:
    """The version of CRIU.  Raises CriuError when there is none, or it is older than MINIMUM."""
    with Service(program) as service:
        response = service.request(messages.VERSION)
        service.end()
    found = response.version if response.success else None
    if found is None:
        raise CriuError(f"{program} does not tell its version", _HINT)
    if found[:2] < MINIMUM:
        needed = f"{MINIMUM[0]}.{MINIMUM[1]}"
        raise CriuError(f"{program} is version {version_text(found)}; {needed} or newer is needed")
    log.debug(f"{program} is version {version_text(found)}")
    return found


def version_text(version: tuple[int, int, int]) -> str:
    """``3.17.1``, or ``4.2`` without a sublevel."""
    return ".".join(map(str, version if version[2] else version[:2]))


def check_features(program: str, wanted: tuple[str, ...]) -> None:
    """Raises CriuError when CRIU, or this kernel, lacks a feature (keys of `messages.FEATURES`)."""
    with Service(program) as service:
        response = service.request(messages.FEATURE_CHECK, features=wanted)
        service.end()
    missing = [name for name in wanted if name not in response.features]
    if not response.success or missing:
        names = {"mem_track": "memory tracking (CONFIG_MEM_SOFT_DIRTY)", "lazy_pages": "lazy pages (userfaultfd)"}
        raise CriuError(f"{program} on this kernel lacks {', '.join(names[name] for name in missing or wanted)}")
