"""`state`: print a container's state as the runtime-spec defines it, with runc's additions."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, one_id, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.document import for_go, pretty
from seatrial.runtime.errors import ContainerNotFoundError
from seatrial.runtime.state import StateDirectory, report, status_of

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime state ID

Print the container's state as JSON.
"""


def main(context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    id = one_id("state", arguments)
    with StateDirectory.open(context.root, id) as directory:
        state = directory.load()
        if state is None:
            raise ContainerNotFoundError(f"container {id} does not exist", "an interrupted create left its directory")
        document = report(state, status_of(directory, state))
    write_stdout(for_go(pretty(document)))  # runc ends it without a newline
    return 0
