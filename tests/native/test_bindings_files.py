"""Sealed memory files, openat2, small files, and the shape of errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from seatrial.native import memfd, syscall

SEALED = memfd.SEAL_SEAL | memfd.SEAL_SHRINK | memfd.SEAL_GROW | memfd.SEAL_WRITE


def test_errors_name_call_and_object() -> None:
    error = syscall.failure(errno.EPERM, "mount", "proc", "on", "/proc")
    assert isinstance(error, PermissionError)
    assert str(error) == "[Errno 1] mount: Operation not permitted: 'proc on /proc'"
    assert syscall.call_of(error) == "mount"
    assert syscall.call_of(FileNotFoundError(2, "No such file or directory")) == ""


def test_sealed_memfd_from_bytes_cannot_change() -> None:
    fd = memfd.sealed_memfd("plan", b"data")
    try:
        assert os.read(fd, 10) == b"data"
        assert memfd.seals(fd) & SEALED == SEALED
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def test_sealed_memfd_from_a_descriptor_has_the_whole_file(tmp_path: Path) -> None:
    content = os.urandom(300_001)
    (tmp_path / "file").write_bytes(content)
    source = os.open(tmp_path / "file", os.O_RDONLY)
    os.lseek(source, 5, os.SEEK_SET)  # its offset does not matter, and does not move
    fd = memfd.sealed_memfd("copy", source)
    try:
        assert os.pread(fd, 400_000, 0) == content
        assert os.lseek(source, 0, os.SEEK_CUR) == 5
    finally:
        os.close(fd)
        os.close(source)


def test_only_executable_memory_files_can_be_executed() -> None:
    from child import run

    with open("/bin/true", "rb") as file:
        fd = memfd.sealed_memfd("true", file.read(), executable=True)
    os.set_inheritable(fd, True)
    try:
        assert run("/proc/self/fd/9", fds=[(9, fd)]).status == 0
    finally:
        os.close(fd)


def test_seals_of_an_ordinary_file() -> None:
    fd = os.open("/proc/version", os.O_RDONLY)  # not one of tmpfs, whose files can have seals
    try:
        with pytest.raises(OSError) as failed:
            memfd.seals(fd)
    finally:
        os.close(fd)
    assert failed.value.errno == errno.EINVAL


def test_openat2_keeps_a_look_up_beneath(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    root = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = syscall.openat2(root, "in", os.O_RDONLY, resolve=syscall.RESOLVE_BENEATH)
        assert os.read(fd, 5) == b"x"
        assert not os.get_inheritable(fd)
        os.close(fd)
        for path, resolve, number in (
            ("../x", syscall.RESOLVE_BENEATH, errno.EXDEV),
            ("link", syscall.RESOLVE_BENEATH, errno.EXDEV),
            ("link", syscall.RESOLVE_NO_SYMLINKS, errno.ELOOP),
            ("link", syscall.RESOLVE_IN_ROOT, errno.ENOENT),
        ):
            with pytest.raises(OSError) as failed:
                syscall.openat2(root, path, os.O_RDONLY, resolve=resolve)
            assert (failed.value.errno, failed.value.filename) == (number, path)
    finally:
        os.close(root)


def test_write_and_read_small_files(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("old value")
    syscall.write_file(str(path), "new")
    assert syscall.read_file(str(path)) == b"new value"
    assert syscall.read_file(str(path), 2) == b"ne"
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError) as failed:
        syscall.write_file(str(tmp_path / "link"), "x")
    assert failed.value.errno == errno.ELOOP


def test_a_refused_value_is_named() -> None:
    with pytest.raises(OSError, match=r"write: Invalid argument: .*/proc/self/oom_score_adj 'many'"):
        syscall.write_file("/proc/self/oom_score_adj", "many")


def test_nul_in_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        syscall.read_file("/etc/passwd\0x")


def test_flock_with_another_holder(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    one, two = (os.open(tmp_path / "lock", os.O_RDWR) for _ in range(2))
    try:
        syscall.flock(one, syscall.LOCK_EX)
        with pytest.raises(BlockingIOError):
            syscall.flock(two, syscall.LOCK_EX | syscall.LOCK_NB)
        syscall.flock(one, syscall.LOCK_UN)
        syscall.flock(two, syscall.LOCK_EX | syscall.LOCK_NB)
    finally:
        os.close(one)
        os.close(two)


def test_poll_tells_who_is_ready() -> None:
    reader, writer = os.pipe()
    quiet, other = os.pipe()
    try:
        assert syscall.poll([reader, quiet], 0) == []
        os.write(writer, b"x")
        assert syscall.poll([quiet, reader], 1000) == [(reader, syscall.POLLIN)]
        os.close(other)
        assert dict(syscall.poll([quiet, reader], 0))[quiet] & syscall.POLLHUP
    finally:
        for fd in (reader, writer, quiet):
            os.close(fd)


def test_close_range_closes_or_marks(tmp_path: Path) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    base = 5000
    fds = [os.dup2(null, base + i) for i in range(3)]
    syscall.close_range(base, base + 1, cloexec=True)
    assert [os.get_inheritable(fd) for fd in fds] == [False, False, True]
    syscall.close_range(base, base + 2)
    with pytest.raises(OSError):
        os.fstat(base + 2)
    os.close(null)


def test_prlimit_of_another_process() -> None:
    from seatrial.native.channel import socketpair
    from seatrial.native.spawn import spawn

    shell = os.open("/bin/cat", os.O_PATH | os.O_CLOEXEC)
    ours, theirs = socketpair()
    pid, child = spawn(shell, [b"cat"], [], [(0, theirs), (1, theirs)])
    for fd in (shell, theirs):
        os.close(fd)
    try:
        previous = syscall.prlimit(pid, 7, (64, 128))
        assert previous == syscall.prlimit(0, 7)
        assert syscall.prlimit(pid, 7) == (64, 128)
    finally:
        os.close(ours)
        from seatrial.native import pidfd

        pidfd.wait(child)
        os.close(child)


def test_syscall_by_number_and_ioctl() -> None:
    from filters import NUMBERS

    assert syscall.syscall(NUMBERS["getppid"]) == os.getppid()
    with pytest.raises(ProcessLookupError):
        syscall.syscall(NUMBERS["getpgid"], 1 << 30)
    with pytest.raises(OSError) as failed:
        syscall.ioctl(0, 0x5413)  # TIOCGWINSZ to address 0: ENOTTY before it looks, EFAULT on a terminal
    assert failed.value.errno in (errno.ENOTTY, errno.EFAULT, errno.EINVAL, errno.ENODEV)
