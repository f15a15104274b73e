"""`run`: create a container and run its program, in the foreground or detached."""

from __future__ import annotations

import os

from seatrial.runtime.cli.launching import COMMON_OPTIONS, COMMON_USAGE, prepare
from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options

OPTIONS = COMMON_OPTIONS | {
    "detach": ("detach", "flag"),
    "d": ("detach", "flag"),
    "keep": ("keep", "flag"),
    "no-subreaper": ("no_subreaper", "flag"),
}

USAGE = f"""\
usage: seatrial-runtime run [OPTIONS] ID

Create a container from a bundle and run its program.  In the foreground: pass signals on, return the program's exit
status (128 + N when signal N killed it), and delete the container at the end.

{COMMON_USAGE}\
  --detach, -d             return as soon as the program runs
  --keep                   do not delete the container when its program has ended
  --no-subreaper           do not adopt the container's orphans
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    detached = options.flag("detach")
    id = one_id("run", arguments)
    if not detached and not options.flag("no_subreaper"):
        from seatrial.native.syscall import PR_SET_CHILD_SUBREAPER, prctl

        prctl(PR_SET_CHILD_SUBREAPER, 1)
    container, process = prepare(context, options, id, detached)
    with container:
        notify = None
        if os.environ.get("NOTIFY_SOCKET"):
            from seatrial.runtime.readiness import open_socket

            notify = open_socket(context.root, id, context.log)
        if detached:
            container.run(process)
            if notify is not None:
                notify.wait(process.pid)
            return 0
        from seatrial.runtime.cli.foreground import attend

        return attend(container, process, lambda: container.run(process), keep=options.flag("keep"), notify=notify)
