"""Strike an invocation of a runtime: a signal to its process after a while, and nothing to what it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result, Stream, wait_pidfd


def strike(runtime: Runtime, words: list[str], name: str, delay: float) -> tuple[Result, bool]:
    """Run a command of the runtime and send SIG`name` to it after `delay` seconds; the result, and whether the signal
    came in time.  What has not ended after the driver's time limit is killed, and `timed_out` is set."""
    argv = runtime.argv("--root", runtime.root, *words)
    given, stdout, stderr = Stream(runtime.directory), Stream(runtime.directory), Stream(runtime.directory)
    start = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdin=given.fd,
        stdout=stdout.fd,
        stderr=stderr.fd,
        env=runtime.env,
        start_new_session=True,
    )
    pidfd = os.pidfd_open(process.pid)
    try:
        struck = not wait_pidfd(pidfd, delay)
        if struck:
            signal.pidfd_send_signal(pidfd, getattr(signal, f"SIG{name}"))
        timed_out = not wait_pidfd(pidfd, runtime.timeout)
    finally:
        os.close(pidfd)
        if process.poll() is None:
            process.kill()
        status = process.wait()
    seconds = time.monotonic() - start
    result = Result(tuple(argv), runtime.env, status, stdout.read(), stderr.read(), seconds, timed_out, stdout)
    return result, struck
