"""Hooks in the runtime namespace: prestart, createRuntime, poststart and poststop.

Rules: runtime-spec, config.md#posix-platform-hooks and runtime.md#lifecycle.  createContainer and startContainer hooks
run in the container's namespaces, so the executor runs those.
"""

from __future__ import annotations

import os

from seatrial.runtime.document import dumps
from seatrial.runtime.errors import HookError, errno_name
from seatrial.runtime.version import SPEC_VERSION
from seatrial.runtime.wait import describe_exit, open_pidfd, wait_child, wait_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any

    from seatrial.runtime.config import Config, Hook
else:
    import _signal

# What posix_spawn resets in the hook: CPython ignores SIGPIPE and SIGXFSZ, and a foreground run forwards the rest.
_DEFAULT_SIGNALS = (1, 2, 3, 6, 10, 12, 13, 14, 15, 17, 20, 21, 22, 25, 28)
_SHOWN_BYTES = 2048


def state_document(config: Config, id: str, status: str, pid: int | None) -> dict[str, Any]:
    """The State of the runtime-spec (runtime.md#state); `pid` None leaves the member out."""
    document: dict[str, Any] = {"ociVersion": SPEC_VERSION, "id": id, "status": status}
    if pid is not None:
        document["pid"] = pid
    document["bundle"] = config.bundle
    if config.annotations:
        document["annotations"] = config.annotations
    return document


def state_around_pid(config: Config, id: str, status: str) -> tuple[bytes, bytes]:
    """The State in two halves, between which the executor writes its own pid as the container sees it."""
    before, after = dumps(state_document(config, id, status, 987654321)).split("987654321", 1)
    return before.encode("utf-8", "surrogateescape"), after.encode("utf-8", "surrogateescape")


def run_hooks(kind: str, hooks: list[Hook], state: dict[str, Any], abort: int = -1) -> None:
    """Run hooks in order; the first failure stops the list.  Raises HookError.

    `abort` is a descriptor that becomes readable when waiting for the hook makes no sense any more.
    """
    for index, hook in enumerate(hooks):
        run_hook(f"{kind} hook {index} ({hook.path})", hook, state, abort)


def run_poststop(hooks: list[Hook], state: dict[str, Any], warn: Callable[[str], None]) -> None:
    """Run every poststop hook: a failure is a warning, and the rest run as if it had succeeded."""
    for index, hook in enumerate(hooks):
        try:
            run_hook(f"poststop hook {index} ({hook.path})", hook, state)
        except HookError as error:
            warn(str(error))


def run_hook(name: str, hook: Hook, state: dict[str, Any], abort: int = -1) -> None:
    """Run one hook with the state on its stdin.  Raises HookError with the end of its output.

    stdin and the output are memfds rather than pipes: a hook that reads nothing cannot block us, and one that leaves a
    background process behind does not keep us waiting for its end of a pipe.  The hook leads a process group of its
    own, which a time-out kills as a whole.  A hook without env inherits the runtime's, as in runc (the spec leaves it
    open).
    """
    stdin = os.memfd_create("state", os.MFD_CLOEXEC)
    output = -1
    try:
        os.write(stdin, dumps(state).encode("utf-8", "surrogateescape"))
        os.lseek(stdin, 0, os.SEEK_SET)
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        environment = dict(entry.split("=", 1) for entry in hook.env if "=" in entry) if hook.env else os.environ
        try:
            pid = os.posix_spawn(
                hook.path,
                hook.args or [hook.path],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, *pair) for pair in ((stdin, 0), (output, 1), (output, 2))],
                setpgroup=0,
                setsigmask=[],
                setsigdef=_DEFAULT_SIGNALS,
            )
        except OSError as error:
            raise HookError(f"{name}: exec: {errno_name(error.errno or 0)}") from None
        status = _wait(pid, hook.timeout, abort)
        if status is None and abort >= 0 and wait_readable([abort], 0):
            raise HookError(f"{name}: killed because the container's init has gone")
        if status is None:
            raise HookError(f"{name}: killed after its timeout of {hook.timeout} s{_tail(output)}")
        if status != 0:
            raise HookError(f"{name}: {describe_exit(status)}{_tail(output)}")
    finally:
        os.close(stdin)
        if output >= 0:
            os.close(output)


def _wait(pid: int, timeout: int | None, abort: int) -> int | None:
    """Wait for the hook; on a time-out, an abort or an exception kill its whole process group and reap it."""
    pidfd = open_pidfd(pid)
    status = None
    try:
        status = wait_child(pid, pidfd, timeout, abort)
    finally:
        if status is None:
            try:
                os.killpg(pid, _signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(pid, 0)
        if pidfd >= 0:
            os.close(pidfd)
    return status


def _tail(output: int) -> str:
    size = os.fstat(output).st_size
    text = os.pread(output, _SHOWN_BYTES, max(0, size - _SHOWN_BYTES)).decode("utf-8", "replace").strip()
    return f": {' '.join(text.split())}" if text else ""
