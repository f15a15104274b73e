"""`start`: run the program of a created container."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime start ID

Run the program of a created container, after its startContainer hooks; return when its poststart hooks have ended.
"""


def main(context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    with Container.load(context.root, one_id("start", arguments), log=context.log) as container:
        container.release()
    return 0
