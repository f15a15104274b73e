"""Files that tell an engine a pid."""

from __future__ import annotations

import os

from seatrial.runtime.errors import SyscallError


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid in decimal to a new file that takes the place of `path`.  Raises SyscallError."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            os.write(fd, b"%d" % pid)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        raise SyscallError.of("write", path, error) from None
