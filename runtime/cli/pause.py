"""`pause`: freeze a container."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime pause ID

Stop every process of a created or running container; return when they have stopped.
"""


def main(context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    with Container.load(context.root, one_id("pause", arguments), log=context.log) as container:
        container.pause()
    return 0
