"""Where the command line reports to: stderr, and the file of --log in one of runc's two formats."""

from __future__ import annotations

import os
import time

from seatrial.runtime import log
from seatrial.runtime.errors import SyscallError

PROGRAM = "seatrial-runtime"

# The words of the C library (and of Go) behind three errno names: podman, docker and containerd look for them, or for
# "executable file not found in $PATH", and tell their own callers 127 (not found) or 126 (not to be executed) then.
_WORDS = {
    "ENOENT": "no such file or directory",
    "EACCES": "permission denied",
    "EPERM": "operation not permitted",
}


class Log(log.Log):
    """Warnings and errors; with `debug` also what the runtime decides on its way."""

    def __init__(self, path: str = "", json: bool = False, debug: bool = False) -> None:
        self.json = json
        self.debugging = debug
        self.fd = -1
        if path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_SYNC
            try:
                self.fd = os.open(path, flags, 0o644)
            except OSError as error:
                raise SyscallError.of("open", path, error) from None

    def error(self, message: str) -> None:
        """Report why the command failed: on stderr always, and in the log."""
        message = in_words(message)
        if self.fd >= 0 or not self.json:
            self._write_stderr(f"{PROGRAM}: {message}")
        if self.fd >= 0 or self.json:
            self._record("error", message)

    def warning(self, message: str) -> None:
        """Report what does not change the outcome: in the log, or on stderr when there is no log."""
        if self.fd >= 0 or self.json:
            self._record("warning", message)
        else:
            self._write_stderr(f"{PROGRAM}: warning: {message}")

    def debug(self, message: str) -> None:
        """Report a decision, with --debug only."""
        if not self.debugging:
            return
        if self.fd >= 0 or self.json:
            self._record("debug", message)
        else:
            self._write_stderr(f"{PROGRAM}: debug: {message}")

    def _record(self, level: str, message: str) -> None:
        """One record in the log; without one, on stderr."""
        from seatrial.runtime.document import dumps, for_go

        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.json:
            line = for_go(dumps({"level": level, "msg": message, "time": stamp}))
        else:
            line = f'time="{stamp}" level={level} msg={dumps(message)}'
        _write(self.fd if self.fd >= 0 else 2, line)

    def _write_stderr(self, line: str) -> None:
        _write(2, line)


def in_words(message: str) -> str:
    """`message` with the words behind an errno name: ``open /x: ENOENT (no such file or directory)``."""
    for name, words in _WORDS.items():
        before, found, after = message.partition(f": {name}")
        if found and not (after[:1].isalnum() or after.startswith(f" ({words})")):
            message = f"{before}{found} ({words}){after}"
    return message


def _write(fd: int, line: str) -> None:
    """One line in one write(2); an output that is gone is not worth failing for."""
    try:
        os.write(fd, line.replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass
