"""spawn: what the child gets, what each failure leaves, and threads."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from child import ENV, run
from filters import KILL, confined, fail_with

from seatrial.conformance.airlock.orphans import children
from seatrial.native import pidfd, syscall
from seatrial.native.memfd import sealed_memfd
from seatrial.native.spawn import spawn

BOTH = pytest.mark.parametrize("classic", [False, True], ids=["clone3", "clone"])


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def shell() -> Iterator[int]:
    fd = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@BOTH
def test_child_gets_argv_environment_and_directory(classic: bool) -> None:
    child = run('echo "$0 $#"; pwd; echo "$LC_ALL"', cwd="/usr", classic=classic)
    assert child.output.split("\n") == ["sh 0", "/usr", "C", ""]
    assert child.status == 0


@BOTH
def test_exit_status_and_signal_are_told_apart(classic: bool) -> None:
    assert run("exit 7", classic=classic).status == 7
    killed = run("kill -TERM $$", classic=classic).exit
    assert (killed.signal, killed.status) == (signal.SIGTERM, 128 + signal.SIGTERM)


@BOTH
def test_child_has_exactly_the_given_descriptors(classic: bool) -> None:
    extra = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    os.set_inheritable(extra[0], True)
    try:
        child = run("ls /proc/self/fd", fds=[(7, extra[1]), (40, extra[2])], classic=classic)
    finally:
        for fd in extra:
            os.close(fd)
    # 3 is the directory that ls reads
    assert child.output.split() == ["0", "1", "2", "3", "40", "7"]


def test_descriptors_can_be_exchanged() -> None:
    files = [sealed_memfd(f"file{i}", b"%d" % i) for i in range(2)]
    try:
        low, high = sorted(files)
        expected = {low: os.pread(high, 1, 0).decode(), high: os.pread(low, 1, 0).decode()}
        child = run(f"cat /proc/self/fd/{low}; cat /proc/self/fd/{high}", fds=[(low, high), (high, low)])
    finally:
        for fd in files:
            os.close(fd)
    assert child.output == expected[low] + expected[high]


def test_one_descriptor_can_have_several_numbers(shell: int) -> None:
    reader, writer = os.pipe()
    script = b"echo a; echo b >&2; echo c >&9"
    _, child = spawn(shell, [b"sh", b"-c", script], ENV, [(1, writer), (2, writer), (9, writer)])
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == b"a\nb\nc\n"
    assert pidfd.wait(child) is not None
    os.close(child)


@BOTH
def test_child_starts_with_default_signals(classic: bool) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        # cat, because a shell changes its own
        child = run("exec cat /proc/self/status", classic=classic)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGHUP, previous)
    status = dict(line.split(":\t", 1) for line in child.output.splitlines() if ":\t" in line)
    assert [status[key] for key in ("SigBlk", "SigIgn", "SigCgt")] == ["0" * 16] * 3


def test_signal_mask_of_the_caller_is_kept(shell: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        run("true")
        with pytest.raises(OSError):
            spawn(shell, [b"sh"], [], [], cwd="/nowhere")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == before | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@BOTH
def test_failures_name_the_step_and_leave_nothing(shell: int, classic: bool) -> None:
    text = os.open("/etc/passwd", os.O_RDONLY | os.O_CLOEXEC)
    fds, processes = open_fds(), children()
    failures = []
    for program, pairs, cwd in ((text, [], None), (shell, [(0, 999)], None), (shell, [], "/nowhere")):
        with pytest.raises(OSError) as failed:
            spawn(program, [b"sh"], [], pairs, cwd=cwd, classic=classic)
        failures.append((syscall.call_of(failed.value), failed.value.errno))
    assert failures == [("execveat", errno.EACCES), ("dup3", errno.EBADF), ("chdir", errno.ENOENT)]
    assert (open_fds(), children()) == (fds, processes)
    os.close(text)


def test_clone3_failure_is_told_from_a_failure_in_the_child(shell: int) -> None:
    with pytest.raises(OSError) as failed:
        spawn(shell, [b"sh"], [], [], cgroup_fd=shell)  # not a cgroup
    assert (syscall.call_of(failed.value), failed.value.errno) == ("clone3", errno.EBADF)


def test_without_clone3_the_classic_way_works() -> None:
    def work() -> tuple[tuple[str, int | None], str]:
        with pytest.raises(OSError) as failed:
            run("true")
        return (syscall.call_of(failed.value), failed.value.errno), run("echo here", classic=True).output

    assert confined({"clone3": fail_with(errno.ENOSYS)}, work) == (("clone3", errno.ENOSYS), "here\n")


def test_without_close_range_descriptors_are_closed_all_the_same() -> None:
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        child = confined({"close_range": fail_with(errno.ENOSYS)}, lambda: run("ls /proc/self/fd", fds=[(9, extra)]))
    finally:
        os.close(extra)
    assert child.output.split() == ["0", "1", "2", "3", "9"]


def test_child_killed_before_its_exec_is_reported_and_reaped(shell: int) -> None:
    fds, processes = open_fds(), children()

    def work() -> int | None:
        with pytest.raises(ProcessLookupError) as failed:
            spawn(shell, [b"sh"], [], [(0, shell)])
        return failed.value.errno

    assert confined({"dup3": KILL}, work) == errno.ESRCH
    assert (open_fds(), children()) == (fds, processes)


@pytest.mark.parametrize(
    ("argv", "env", "fds"),
    [
        ([b"a\0b"], [], []),
        ([b"a"], [b"A=\0"], []),
        ([], [], []),
        ([b"a"], [], [(1, 0), (1, 2)]),
        ([b"a"], [], [(-1, 0)]),
    ],
)
def test_wrong_arguments(argv: list[bytes], env: list[bytes], fds: list[tuple[int, int]], shell: int) -> None:
    with pytest.raises(ValueError, match=r"NUL|argv|descriptors"):
        spawn(shell, argv, env, fds)


def test_flags_other_than_namespaces_are_refused(shell: int) -> None:
    with pytest.raises(OSError) as failed:
        spawn(shell, [b"sh"], [], [], flags=0x100)  # CLONE_VM
    assert failed.value.errno == errno.EINVAL


@pytest.mark.root
@BOTH
def test_new_namespaces(classic: bool) -> None:
    flags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS
    child = run("echo $$; cat /proc/self/uid_map; readlink /proc/self/ns/uts", flags=flags, classic=classic)
    pid, uts = child.output.split()
    assert pid == "1"
    assert uts != os.readlink("/proc/self/ns/uts")


def test_empty_strings_are_arguments_too(shell: int) -> None:
    reader, writer = os.pipe()
    _, child = spawn(shell, [b"sh", b"-c", b'echo "$#:$1:$2"', b"x", b"", b"z"], [], [(1, writer)])
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == b"2::z\n"
    assert pidfd.wait(child) is not None
    os.close(child)


@BOTH
def test_spawn_from_threads_while_signals_arrive(classic: bool) -> None:
    handled = []
    previous = signal.signal(signal.SIGALRM, lambda *_: handled.append(1))
    statuses: list[int] = []
    fds = open_fds()

    def work(number: int) -> None:
        for turn in range(15):
            code = (number * 15 + turn) % 64
            statuses.append(run(f"exit {code}", classic=classic).status - code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert statuses == [0] * 60
    assert handled
    assert open_fds() == fds
