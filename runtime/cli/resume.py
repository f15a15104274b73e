"""`resume`: thaw a container."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime resume ID

Let the processes of a paused container go on.
"""


def main(context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    with Container.load(context.root, one_id("resume", arguments), log=context.log) as container:
        container.resume()
    return 0
