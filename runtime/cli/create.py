"""`create`: make a container from a bundle; its program waits for `start`."""

from __future__ import annotations

from seatrial.runtime.cli.launching import COMMON_OPTIONS, COMMON_USAGE, prepare
from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options

OPTIONS = COMMON_OPTIONS

USAGE = f"""\
usage: seatrial-runtime create [OPTIONS] ID

Create a container from a bundle (a directory with config.json).  Its program runs when `start` says so.

{COMMON_USAGE}"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    container, process = prepare(context, options, one_id("create", arguments), detached=True)
    with container:
        container.start(process)
    return 0
