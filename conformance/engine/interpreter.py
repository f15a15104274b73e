"""Starts our own programs: as new interpreters, or by fork where this process is warm (engine/zygote.py).

A forked one has its modules already, which under software emulation saves half a minute; in every other respect it is
made to be what a new interpreter would be: descriptors, environment, signal handlers, arguments, streams.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

warm = False  # set in the processes of a zygote


def start(
    argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int], **streams: Any
) -> subprocess.Popen[bytes]:
    """Start `argv`; options as for subprocess.Popen.

    Where this process is warm and the program is a module of ours (`sys.executable -m MODULE ...`), nothing is
    executed: the child of the fork becomes it, in what Popen runs before execve.  Only one thread may run then.
    """
    forked = warm and list(argv[:2]) == [sys.executable, "-m"]
    before = (lambda: become(argv[2], argv[3:], env, pass_fds)) if forked else None
    return subprocess.Popen(argv, env=env, pass_fds=pass_fds, preexec_fn=before, **streams)


def become(module: str, arguments: Sequence[str], env: Mapping[str, str], keep: Sequence[int]) -> None:
    """Run a module's main() in this process as if a new interpreter had been started with it; does not return.

    Descriptors other than the three streams and `keep` are closed: Popen's own among them, by which it learns that
    the program runs.
    """
    status = 1
    try:
        gc.enable()  # Popen disables it for the fork
        kept = {0, 1, 2, *keep}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in kept:
                try:
                    os.close(int(name))
                except OSError:
                    pass  # that of the directory
        fresh(env)
        found = importlib.import_module(module)
        sys.argv = [str(found.__file__), *arguments]
        status = (found.console_main if module == "pytest" else found.main)()
    except SystemExit as error:
        status = _status(error)
    except BaseException:
        traceback.print_exc()
    finally:
        leave(status)


def fresh(env: Mapping[str, str]) -> None:
    """Environment, signal handlers and streams as at the start of an interpreter."""
    os.environ.clear()
    os.environ.update(env)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    through = "PYTHONUNBUFFERED" in env
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text(1, "strict", through)
    sys.stderr = _text(2, "backslashreplace", True)


def leave(status: int) -> None:
    """End this process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads any more
    os._exit(status & 0xFF)


def _text(number: int, errors: str, through: bool) -> Any:
    import io

    raw = open(number, "wb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, "utf-8", errors, line_buffering=os.isatty(number), write_through=through)


def _status(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1
