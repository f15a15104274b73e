"""Reading and writing the small files of a cgroup, with errors that name file and value."""

from __future__ import annotations

import errno
import os

from seatrial.native.syscall import read_file, write_file
from seatrial.runtime.errors import SyscallError

ABSENT = (errno.ENOENT, errno.ENODEV)  # ENODEV: an open file of a cgroup that has been removed


def read(directory: str, name: str) -> str:
    """The content of a file without surrounding blanks; SyscallError "read PATH"."""
    path = f"{directory}/{name}"
    try:
        limit = 4096
        data = read_file(path, limit)
        while len(data) == limit:  # a long cgroup.procs
            limit *= 16
            data = read_file(path, limit)
        return data.decode().strip()
    except OSError as error:
        raise SyscallError.of("read", path, error) from None


def read_or(directory: str, name: str, default: str) -> str:
    """The same, or `default` when the file or the cgroup is absent."""
    try:
        return read(directory, name)
    except SyscallError as error:
        if error.errno in ABSENT:
            return default
        raise


def write(directory: str, name: str, value: str | int, hint: str = "") -> None:
    """Write a value in one write(2); SyscallError such as "write 7 to /sys/fs/cgroup/pids/x/pids.max: EINVAL"."""
    path = f"{directory}/{name}"
    try:
        write_file(path, str(value))
    except OSError as error:
        if error.errno in ABSENT and not hint:
            hint = f"this kernel, or this cgroup, has no {name}"
        raise SyscallError.of("write", f"{value} to {path}", error, hint) from None


def pids_in(directory: str) -> list[int]:
    """The processes in one cgroup; none when it is absent.

    A threaded cgroup lists threads only (its cgroup.procs: EOPNOTSUPP): the processes that they belong to count.
    """
    try:
        return [int(word) for word in read(directory, "cgroup.procs").split()]
    except SyscallError as error:
        if error.errno in ABSENT:
            return []
        if error.errno != errno.EOPNOTSUPP:
            raise
    return list(dict.fromkeys(_process_of(word) for word in read_or(directory, "cgroup.threads", "").split()))


def _process_of(thread: str) -> int:
    """The process of a thread, itself when it has ended meanwhile."""
    for line in read_or(f"/proc/{thread}", "status", "").splitlines():
        if line.startswith("Tgid:"):
            return int(line[5:])
    return int(thread)


def children(directory: str) -> list[str]:
    """The cgroups directly below one, as paths; none when it is absent."""
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in ABSENT:
            return []
        raise SyscallError.of("open", directory, error) from None
