"""Lanes: forked processes of a program in the airlock, which work side by side and tell what happens on one pipe."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.conformance.verdict import outcome


class Voice:
    """Writes JSON lines to the pipe `output`, each with the members `about`."""

    def __init__(self, output: int, workdir: str, **about: Any) -> None:
        self.output = output
        self.about = about
        self._lock = os.path.join(workdir, "voice")
        os.close(os.open(self._lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def say(self, **entry: Any) -> None:
        """One line, whole, whoever else writes: pipe(7) promises that for 4096 bytes only, hence the lock."""
        self.relay(json.dumps({**self.about, **entry}))

    def relay(self, line: str) -> None:
        """The same, of a line that is made."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = (line + "\n").encode()
            while data:
                data = data[os.write(self.output, data) :]
        finally:
            os.close(lock)


def begin(voice: Voice, work: Callable[[], int], name: str) -> int:
    """Fork, do `work` there, leave with the status that it returns; the pid.  What it raises is told as `trouble`."""
    pid = os.fork()
    if pid:
        return pid
    status = outcome.BUG
    try:
        status = work()
    except EnvironmentProblem as problem:
        voice.say(trouble=f"{name}: {problem}", kind="environment")
        status = outcome.ENVIRONMENT
    except Finding as finding:
        voice.say(trouble=f"{name}: {finding}", kind="finding")
        status = outcome.FOUND
    except BaseException:
        import traceback

        voice.say(trouble=f"{name}: {traceback.format_exc()}", kind="bug")
    finally:
        os._exit(status)


def join(pids: Iterable[int]) -> int:
    """Wait for lanes; the worst of their exit statuses."""
    return max([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids], key=abs, default=outcome.CLEAN)


def run(voice: Voice, workers: int, work: Callable[[int], int]) -> int:
    """`work` with the numbers from 0 in as many lanes; the worst of their exit statuses."""
    return join([begin(voice, partial(work, number), f"lane {number + 1}") for number in range(workers)])
