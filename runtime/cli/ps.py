"""`ps`: the processes of a container, as the host numbers them."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.document import dumps
from seatrial.runtime.errors import SeatrialError, StateError, UsageError
from seatrial.runtime.state import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

OPTIONS = {"format": ("format", "text"), "f": ("format", "text")}
INTERSPERSED = False  # what follows the id is for ps(1)

USAGE = """\
usage: seatrial-runtime ps [OPTIONS] ID [PS OPTIONS]

Show the processes of a container: the rows of the host's ps(1), called with PS OPTIONS (default: -ef), that are about
them.

options:
  --format, -f FORMAT    table, or json for an array of pids (default: table)
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    if not arguments:
        raise UsageError("no container id given", "usage: seatrial-runtime ps ID [PS OPTIONS]")
    format = options.text("format", "table")
    if format not in ("table", "json"):
        raise UsageError(f"option --format takes table or json, not {format!r}")
    with Container.load(context.root, arguments[0], log=context.log) as container:
        pids = container.processes()
        if not pids and container.status() != STOPPED:
            raise StateError(f"container {arguments[0]} has no cgroup", "its processes cannot be told from others")
    if format == "json":
        write_stdout(dumps(pids or None) + "\n")  # runc prints null for none
    else:
        write_stdout(rows_of(ps(arguments[1:] or ["-ef"]), pids))
    return 0


def ps(arguments: list[str]) -> str:
    """What the host's ps(1) prints.  Raises SeatrialError with its complaint when it fails."""
    import subprocess

    try:
        done = subprocess.run(
            ["ps", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError as error:
        raise SeatrialError(f"cannot run ps: {error.strerror}", "install procps, or use --format json") from None
    if done.returncode != 0:
        complaint = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise SeatrialError(f"ps {' '.join(arguments)}: {complaint}")
    return done.stdout


def rows_of(text: str, pids: Collection[int]) -> str:
    """The title and the rows whose PID column names one of the pids.  Raises UsageError without such a column."""
    title, *rows = text.split("\n")
    names = title.split()
    if "PID" not in names:
        raise UsageError("the output of ps has no column PID", "use ps options that show it, such as -ef")
    column = names.index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [title]
    for row in rows:
        cells = row.split()
        if len(cells) > column and cells[column] in wanted:
            kept.append(row)
    return "".join(f"{line}\n" for line in kept)
