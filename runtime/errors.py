"""The runtime's errors.  Text: what was tried, on what, the errno's name; then a hint."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SeatrialError(Exception):
    """Base of every error that the runtime raises on purpose.

    `message` says what was tried and on what; `hint`, when not empty, says what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def add_hints(self, *hints: str) -> None:
        """Say these things as well, after the hint that there is."""
        self.hint = "; ".join([self.hint, *hints] if self.hint else hints)


class ConfigError(SeatrialError):
    """config.json (or a process document) is wrong, or asks for what this runtime does not support.

    `path` is the JSON path of the member, "" for the whole document: ``process.rlimits[1].type``.
    """

    def __init__(self, path: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem, hint)
        self.args = (path, problem, hint)
        self.path = path
        self.problem = problem


class UnsupportedError(ConfigError):
    """A valid member that this runtime does not implement yet.  It is never ignored."""

    def __init__(self, path: str, problem: str = "", hint: str = "") -> None:
        super().__init__(path, problem or "not supported yet", hint or "remove it, or use another runtime")


class UsageError(SeatrialError):
    """The command line or the arguments of a library call are wrong (an empty id, a relative root ...)."""


class StateError(SeatrialError):
    """The operation does not fit the container's state: start of a running one, an id that exists, an unknown id."""


class ContainerNotFoundError(StateError):
    """No container of that id exists."""


class ContainerExistsError(StateError):
    """A container of that id exists already."""


class SyscallError(SeatrialError):
    """A system call (or a step made of several) failed.

    `call` is the call's or the step's name, `object` what it was applied to, `errno` the number.
    """

    def __init__(self, call: str, object: str, errno: int, hint: str = "") -> None:
        super().__init__(f"{call} {object}: {errno_name(errno)}" if object else f"{call}: {errno_name(errno)}", hint)
        self.args = (call, object, errno, hint)
        self.call = call
        self.object = object
        self.errno = errno

    @classmethod
    def of(cls, call: str, object: Any, error: OSError, hint: str = "") -> SyscallError:
        """From an OSError that some Python call raised."""
        return cls(call, str(object), error.errno or 0, hint)


class HookError(SeatrialError):
    """A hook exited non-zero, was killed, timed out or could not be run."""


class CriuError(SeatrialError):
    """CRIU is missing or too old, or could not dump or restore."""


def errno_name(number: int) -> str:
    """``EPERM`` for 1; the number in decimal when it has no name."""
    import errno

    return errno.errorcode.get(number, str(number))


def describe_os_error(error: OSError, call: str = "") -> str:
    """One line for an OSError of the standard library: ``open /x: ENOENT``."""
    words = [call] if call else []
    words += [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' '.join(words)}: {errno_name(error.errno or 0)}" if words else errno_name(error.errno or 0)
