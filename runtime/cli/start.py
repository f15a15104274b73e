"""`start`: run the program of a created container."""

from __future__ import annotations

import os

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime start ID

Run the program of a created container, after its startContainer hooks; return when its poststart hooks have ended, and
with NOTIFY_SOCKET when the program says that it is ready.
"""


def main(context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    id = one_id("start", arguments)
    with Container.load(context.root, id, log=context.log) as container:
        if not os.environ.get("NOTIFY_SOCKET"):
            container.release()
            return 0
        from seatrial.runtime.readiness import open_socket

        notify = open_socket(context.root, id, context.log)
        try:
            pid = container.state()["pid"]
            container.release()
            if notify is not None:
                notify.wait(pid)
        finally:
            if notify is not None:
                notify.close()
    return 0
