"""`delete`: remove a container that has stopped; with --force, whatever state it is in."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import delete

OPTIONS = {"force": ("force", "flag"), "f": ("force", "flag")}

USAGE = """\
usage: seatrial-runtime delete [OPTIONS] ID

Delete a stopped container: its cgroups and its state; then run its poststop hooks.  As the runtime-spec wants it, a
created container is refused like a running one (runc would kill it).

options:
  --force, -f    kill the container first if it lives; remove what an interrupted create left; an unknown id is fine
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    delete(context.root, one_id("delete", arguments), force=options.flag("force"), log=context.log)
    return 0
