"""`kill`: send a signal to a container's init process, or to every process of the container."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.errors import UsageError
from seatrial.runtime.signals import signal_number

OPTIONS = {"all": ("all", "flag"), "a": ("all", "flag")}
INTERSPERSED = False

USAGE = """\
usage: seatrial-runtime kill [OPTIONS] ID [SIGNAL]

Send SIGNAL (a name with or without SIG, or a number; default TERM) to the container's init process.

options:
  --all, -a    send it to every process of the container
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    if not arguments:
        raise UsageError("no container id given", "usage: seatrial-runtime kill ID [SIGNAL]")
    if len(arguments) > 2:
        raise UsageError(f"a container id and a signal expected, got {len(arguments)} arguments")
    number = signal_number(arguments[1] if len(arguments) > 1 else "")
    with Container.load(context.root, arguments[0], log=context.log) as container:
        container.signal(number, all=options.flag("all"))
    return 0
