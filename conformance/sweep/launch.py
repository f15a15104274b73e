"""Starts a program whose calls come to us first: a filter with a listener (seccomp_unotify(2)), in a fork of ours.

The listener is fetched with pidfd_getfd(2) (Linux 5.6): to send it would be a call that the filter stops.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.conformance.driver.execute import Start
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sweep import calls
from seatrial.native import pidfd, seccomp

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000  # SECCOMP_RET_*
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
CONTROL = 1000  # the descriptor by which the child reports; writes to it are not stopped
NOT_STARTED = 127


@dataclass(frozen=True, slots=True)
class Launched:
    """A started program; whoever asked closes both descriptors and reaps the pid."""

    pid: int
    pidfd: int
    listener: int


def program(stopped: Iterable[int], write: int, machine: str | None = None) -> bytes:
    """The filter, as an array of struct sock_filter: these numbers are stopped, every other call is allowed."""
    code = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, calls.architecture(machine)), (RETURN, 0, 0, ALLOW)]
    code.append((LOAD, 0, 0, NUMBER))
    for number in stopped:
        if number == write:
            code += [(EQUAL, 0, 4, number), (LOAD, 0, 0, FIRST_ARGUMENT), (EQUAL, 0, 1, CONTROL)]
            code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY)]
        else:
            code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, NOTIFY)]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def launch(start: Start, filter: bytes) -> Launched:
    """Start a program in a session of its own behind `filter`.

    To be called while no other thread runs (it forks).  EnvironmentProblem when the filter cannot be loaded; a program
    that cannot be executed ends with status 127.
    """
    reader, writer = os.pipe()
    go_out, go_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(start, filter, writer, go_out)
    os.close(writer)
    os.close(go_out)
    process = os.pidfd_open(pid)
    try:
        listener = pidfd.pidfd_getfd(process, _listener_there(os.read(reader, 8)))
        os.write(go_in, b"x")
    except BaseException as error:
        os.kill(pid, signal.SIGKILL)  # it waits for our word
        os.waitpid(pid, 0)
        os.close(process)
        if isinstance(error, OSError):
            name = errno.errorcode.get(error.errno or 0, "?")
            raise EnvironmentProblem(
                f"cannot take the listener of {start.argv[0]}: {name} (pidfd_getfd needs Linux 5.6 and CAP_SYS_PTRACE)"
            ) from error
        raise
    finally:
        os.close(reader)
        os.close(go_in)
    return Launched(pid, process, listener)


def _listener_there(said: bytes) -> int:
    """The number that the listener has in the child, of what the child has told."""
    number = struct.unpack("<q", said)[0] if len(said) == 8 else 0
    if number <= 0:
        reason = errno.errorcode.get(-number, "it died")
        raise EnvironmentProblem(f"cannot load a filter with user notification (Linux 5.6): {reason}")
    return int(number)


def _child(start: Start, filter: bytes, writer: int, go: int) -> None:
    """Between fork and exec.  After the filter no call of the table may be made before we have the listener."""
    try:
        os.setsid()
        # Ignored signals stay so across execve(2), and Python ignores two.
        for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        copies = [os.dup(stream) for stream in start.streams]
        for target, copy in enumerate(copies):
            os.dup2(copy, target)
        for number in start.pass_fds:
            os.set_inheritable(number, True)
        if start.cwd is not None:
            os.chdir(start.cwd)
        os.dup2(writer, CONTROL, inheritable=False)
        try:
            answer = seccomp.load_filter(filter, seccomp.FILTER_FLAG_NEW_LISTENER)
        except OSError as error:
            answer = -(error.errno or errno.EPERM)
        os.write(CONTROL, struct.pack("<q", answer))
        if answer >= 0:
            os.read(go, 1)
            os.execve(start.argv[0], start.argv, start.env)
    finally:
        os._exit(NOT_STARTED)
