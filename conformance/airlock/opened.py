"""An airlock for the length of a with block, with the directory of its run."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence

from seatrial.conformance.airlock.airlock import Request, open_airlock
from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.airlock.subtree import sweep_stale


@contextlib.contextmanager
def opened(
    command: Callable[[Scratch], list[str]],
    view: str,
    trial: str | None,
    env: Callable[[Scratch], dict[str, str]],
    *,
    keep: Sequence[int] = (),
    log: bool = True,
) -> Iterator[tuple[subprocess.Popen[bytes], Scratch]]:
    """Run a command in an airlock, and end it, with everything inside, when the block ends: (the janitor, the run's
    directory).

    `view` and `trial` are those of Request; `keep` are descriptors for the command, closed here; with `log` the output
    goes to the directory's log.  EnvironmentProblem as open_airlock.
    """
    scratch = Scratch()
    lifeline_out, lifeline_in = os.pipe()
    process = None
    try:
        output = scratch.log if log else None
        try:
            request = Request(command(scratch), view, trial, lifeline_out, list(keep), scratch.work, output)
            process = open_airlock(request, env(scratch))
        finally:
            for number in (lifeline_out, *keep):
                os.close(number)
        yield process, scratch
    finally:
        os.close(lifeline_in)  # the janitor's sign to end everything, if it has not ended yet
        if process is not None and process.wait() < 0:
            sweep_stale()  # the janitor itself was killed
        scratch.close()
