"""A worker's interpreter in an airlock, on the machine where the worker runs: what execnet starts there over ssh.

    python3 -m seatrial.conformance.hosts.gateway VIEW RUNTIME -c BOOTSTRAP

The airlock is opened around `python3 -c BOOTSTRAP`, which talks to pytest-xdist over the standard streams.  When the
connection ends, so does the interpreter, and the airlock removes what was made inside.
"""

from __future__ import annotations

import fcntl
import os
import sys

from seatrial.conformance.airlock.opened import opened
from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.engine.session import WORKDIR_ENV, resolve_runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

DEFAULT = "-"  # the runtime beside the interpreter
LOWEST = 3  # sh knows descriptors of one digit


def main() -> int:
    """The interpreter's exit status, or 2 with a reason on standard error."""
    view, runtime, *arguments = sys.argv[1:]
    try:
        return run(view, resolve_runtime(None if runtime == DEFAULT else runtime), arguments)
    except EnvironmentProblem as error:
        print(f"seatrial: {os.uname().nodename}: {error}", file=sys.stderr)
        return outcome.ENVIRONMENT


def run(view: str, runtime: str, arguments: list[str]) -> int:
    """Run python3 with these arguments in an airlock of its own, with the standard streams of this process."""
    stdin = fcntl.fcntl(0, fcntl.F_DUPFD, LOWEST)  # an airlock has no standard input, but keeps other descriptors

    def command(_: Scratch) -> list[str]:
        return ["sh", "-c", f'exec "$@" <&{stdin} {stdin}<&-', "sh", sys.executable, *arguments]

    def env(scratch: Scratch) -> dict[str, str]:
        return {**os.environ, WORKDIR_ENV: scratch.work}

    with opened(command, view, runtime if view == "auto" else None, env, keep=[stdin], log=False) as (process, _):
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
