"""What the caller of the command line gave this process: descriptors, paths, and a terminal."""

from __future__ import annotations

import os

from seatrial.runtime.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cli.options import Options
    from seatrial.runtime.process import Process


def preserved(count: int) -> list[int]:
    """Descriptors 3 to 2+count, which must be open.  Raises UsageError."""
    fds = list(range(3, 3 + count))
    for fd in fds:
        try:
            os.fstat(fd)
        except OSError:
            raise UsageError(f"descriptor {fd} is to be preserved, but it is not open") from None
    return fds


def terminal_size() -> tuple[int, int]:
    """Columns and lines of the caller's terminal; zeros where there is none."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return 0, 0
    return size.columns, size.lines


def set_paths(process: Process, options: Options) -> None:
    """The files and sockets that the options name, from the root."""
    if options.text("pid_file"):
        process.pid_file = os.path.abspath(options.text("pid_file"))
    for name in ("console_socket", "pidfd_socket"):
        path = options.text(name)
        if path:  # "@name" is an abstract one
            setattr(process, name, path if path.startswith("@") else os.path.abspath(path))
