"""Pidfds, seccomp notifications, mounts, namespaces: each against the kernel."""

from __future__ import annotations

import errno
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from child import ENV
from filters import ALLOW, NOTIFY, NUMBERS, filter_of, in_thread

from seatrial.native import mount_api, pidfd, seccomp, syscall
from seatrial.native.channel import socketpair
from seatrial.native.spawn import spawn


@pytest.fixture
def cat() -> Iterator[tuple[int, int, int]]:
    """A cat that waits: pid, pidfd, our end of its stdin."""
    program = os.open("/bin/cat", os.O_PATH | os.O_CLOEXEC)
    ours, theirs = socketpair()
    pid, child = spawn(program, [b"cat"], ENV, [(0, theirs), (1, theirs)])
    os.close(program)
    os.close(theirs)
    yield pid, child, ours
    os.close(ours)
    try:
        pidfd.wait(child)
    except ChildProcessError:
        pass
    os.close(child)


def test_pidfd_signals_and_waits(cat: tuple[int, int, int]) -> None:
    pid, child, _ = cat
    assert pidfd.wait(child, block=False) is None
    pidfd.pidfd_send_signal(child, signal.SIGTERM)
    assert syscall.poll([child], 5000)
    kept = pidfd.wait(child, reap=False)
    end = pidfd.wait(child)
    assert kept is not None
    assert end is not None
    assert (kept.signal, end.pid, end.signal) == (signal.SIGTERM, pid, signal.SIGTERM)
    assert end.max_rss > 0
    with pytest.raises(ProcessLookupError, match="pidfd_send_signal: "):
        pidfd.pidfd_send_signal(child, signal.SIGTERM)
    with pytest.raises(ChildProcessError, match="waitid: "):
        pidfd.wait(child)


def test_pidfd_open_of_nobody() -> None:
    with pytest.raises(ProcessLookupError, match=r"pidfd_open: .*'pid 1073741823'"):
        pidfd.pidfd_open((1 << 30) - 1)


def test_pidfd_getfd_takes_a_descriptor(cat: tuple[int, int, int]) -> None:
    _, child, ours = cat
    theirs = pidfd.pidfd_getfd(child, 0)
    try:
        os.write(ours, b"x")
        assert os.fstat(theirs).st_ino != os.fstat(ours).st_ino
        assert not os.get_inheritable(theirs)
    finally:
        os.close(theirs)
    with pytest.raises(OSError) as failed:
        pidfd.pidfd_getfd(child, 77)
    assert failed.value.errno == errno.EBADF


def notified(call: str, work: Callable[[], int], serve: Callable[[int, seccomp.Notification], None]) -> int | None:
    """The result (or errno) of `work` in a thread whose `call` is answered by `serve(listener, notification)`."""
    listeners: queue.Queue[int] = queue.Queue()
    results: queue.Queue[int | None] = queue.Queue()

    def body() -> None:
        syscall.prctl(syscall.PR_SET_NO_NEW_PRIVS, 1)
        listeners.put(seccomp.load_filter(filter_of({call: NOTIFY}), seccomp.FILTER_FLAG_NEW_LISTENER))
        try:
            results.put(work())
        except OSError as error:
            results.put(error.errno)

    thread = threading.Thread(target=body)
    thread.start()
    listener = listeners.get(timeout=10)
    try:
        serve(listener, seccomp.receive(listener))
        return results.get(timeout=10)
    finally:
        os.close(listener)
        thread.join(10)


def ask() -> int:
    return syscall.syscall(NUMBERS["getppid"], 11, 22, 33)


def test_notified_call_is_described_and_answered() -> None:
    seen = []

    def serve(listener: int, call: seccomp.Notification) -> None:
        seen.append((call.number, call.arguments[:3], seccomp.is_valid(listener, call.id)))
        seccomp.answer(listener, call.id, value=4242)
        assert not seccomp.is_valid(listener, call.id)

    assert notified("getppid", ask, serve) == 4242
    assert seen == [(NUMBERS["getppid"], (11, 22, 33), True)]


def test_notified_call_can_fail_or_go_on() -> None:
    def refuse(listener: int, call: seccomp.Notification) -> None:
        seccomp.answer(listener, call.id, error=errno.EXDEV)

    def let_go(listener: int, call: seccomp.Notification) -> None:
        seccomp.answer(listener, call.id, proceed=True)

    assert notified("getppid", ask, refuse) == errno.EXDEV
    assert notified("getppid", ask, let_go) == os.getppid()


def test_descriptor_is_installed_in_the_notified_process() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"through")

    def serve(listener: int, call: seccomp.Notification) -> None:
        seccomp.add_fd(listener, call.id, reader, cloexec=True, answer=True)

    fd = notified("getppid", ask, serve)
    assert isinstance(fd, int)
    assert fd != reader
    assert os.read(fd, 10) == b"through"
    assert not os.get_inheritable(fd)
    for one in (fd, reader, writer):
        os.close(one)


def test_filter_without_privilege_is_refused() -> None:
    if os.geteuid() == 0:
        assert in_thread(lambda: seccomp.load_filter(filter_of({"getppid": ALLOW}))) == 0
    with pytest.raises(OSError) as failed:
        seccomp.load_filter(b"")
    assert failed.value.errno == errno.EINVAL
    assert syscall.call_of(failed.value) == "seccomp"


@pytest.mark.root
def test_mount_calls_in_a_namespace_of_a_thread(tmp_path: Path) -> None:
    target = str(tmp_path)

    def work() -> None:
        syscall.unshare(syscall.CLONE_NEWNS)
        mount_api.mount(None, "/", None, mount_api.MS_REC | mount_api.MS_PRIVATE)
        mount_api.mount("tmpfs", target, "tmpfs", mount_api.MS_NODEV, "size=64k")
        os.mkdir(f"{target}/a")
        mount_api.umount(target)
        assert os.listdir(target) == []

        context = mount_api.fsopen("tmpfs")
        mount_api.fsconfig(context, mount_api.FSCONFIG_SET_STRING, "size", "64k")
        mount_api.fsconfig(context, mount_api.FSCONFIG_CMD_CREATE)
        detached = mount_api.fsmount(context, mount_api.MOUNT_ATTR_NODEV)
        mount_api.move_mount(detached, target)
        with open(f"{target}/file", "w", encoding="ascii") as file:
            file.write("x")
        copy = mount_api.open_tree(target, mount_api.OPEN_TREE_CLONE)
        mount_api.mount_setattr(copy, set=mount_api.MOUNT_ATTR_RDONLY, flags=syscall.AT_EMPTY_PATH)
        os.mkdir(f"{target}/copy")
        mount_api.move_mount(copy, f"{target}/copy")
        with pytest.raises(OSError) as failed:
            open(f"{target}/copy/file", "w", encoding="ascii")  # noqa: SIM115
        assert failed.value.errno == errno.EROFS
        for fd in (context, detached, copy):
            os.close(fd)
        with pytest.raises(OSError, match="mount: No such device: 'nonsense on /tmp'"):
            mount_api.mount("none", "/tmp", "nonsense")

    in_thread(work)
    assert os.listdir(target) == []  # nothing of it is in our namespace


@pytest.mark.root
def test_setns_moves_one_thread() -> None:
    def work() -> tuple[str, str]:
        syscall.unshare(syscall.CLONE_NEWUTS)
        new = os.readlink("/proc/thread-self/ns/uts")
        fd = os.open("/proc/self/ns/uts", os.O_RDONLY)  # the main thread's
        syscall.setns(fd, syscall.CLONE_NEWUTS)
        os.close(fd)
        return new, os.readlink("/proc/thread-self/ns/uts")

    new, back = in_thread(work)
    assert new != back == os.readlink("/proc/self/ns/uts")


def test_a_netlink_socket_belongs_to_its_namespace_and_the_caller_stays_in_his() -> None:
    script = "echo ready; exec cat"
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        namespace = os.open(f"/proc/{other.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        before = os.stat("/proc/thread-self/ns/net").st_ino
        fd = syscall.netlink_socket(0, namespace)
        try:
            assert os.stat("/proc/thread-self/ns/net").st_ino == before
            assert not os.get_inheritable(fd)
            got = syscall.ioctl(fd, 0x894C)  # SIOCGSKNS: the socket's namespace
            assert os.fstat(got).st_ino == os.fstat(namespace).st_ino != before
            os.close(got)
        finally:
            os.close(fd)
            os.close(namespace)
        other.communicate(b"")


def test_a_netlink_socket_in_what_is_no_network_namespace() -> None:
    with pytest.raises(OSError, match="socket: Invalid argument") as caught:
        syscall.netlink_socket(0, 0 if os.path.exists("/proc/self/fd/0") else 1)
    assert caught.value.errno == errno.EINVAL
