"""Custody: what takes the airlock's place for an ordinary user, who may not have one.

A user could leave for namespaces of an own user namespace, but there newuidmap hands out no ids, and every runtime is
in a nested user namespace, which is another thing than to be an ordinary user.  So the cases run where the user is, and
this process (a program) sees to it that nothing outlives them: every orphan becomes its child (PR_SET_CHILD_SUBREAPER),
and at the end, or when the process that asked goes away, it kills what is left and removes the work directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from seatrial.conformance.airlock import airlock, orphans
from seatrial.conformance.airlock.airlock import Request
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome
from seatrial.native import syscall

END_SECONDS = 10.0


def custodian(request: Request) -> int:
    """Run the request's command to its end and clean up; its exit status.  EnvironmentProblem for a cgroup view."""
    if request.view != "auto":
        raise EnvironmentProblem(f"the cgroup view {request.view} needs root: an ordinary user has the host's")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the lifeline ends us: cleaning up must not be interrupted
    syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 1)
    alone = False
    try:
        log = request.output()
        process = subprocess.Popen(
            request.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=request.keep
        )
        for descriptor in (*request.keep, *([] if log is None else [log])):
            os.close(descriptor)
        status, alone = airlock.wait(process.pid, request.lifeline)
        process.returncode = status  # it has been reaped
        return status if status >= 0 else 128 - status
    finally:
        for pid in end_children():
            print(f"could not end process {pid} ({orphans.describe(pid)})", file=sys.stderr)
        # Only now: what still runs goes on writing there.
        shutil.rmtree(os.path.dirname(request.workdir) if alone else request.workdir, ignore_errors=True)


def end_children(seconds: float = END_SECONDS) -> set[int]:
    """Kill our children, and theirs, which become ours thereby, until there are none; those that stay are returned."""
    deadline = time.monotonic() + seconds
    while (left := orphans.children()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(PermissionError):  # a set-user-id program, which ends by itself
                orphans.kill(pid)
        orphans.reap()
    return left


def main() -> int:
    """The request is the only argument, as JSON."""
    try:
        return custodian(Request(**json.loads(sys.argv[1])))
    except EnvironmentProblem as error:
        print(error, file=sys.stderr)
        return outcome.ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main())
