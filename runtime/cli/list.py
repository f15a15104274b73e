"""`list`: every container beneath the root, as runc prints it."""

from __future__ import annotations

import os

from seatrial.runtime.cli.main import Context, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.errors import SeatrialError, SyscallError, UsageError
from seatrial.runtime.state import CACHE, StateDirectory, report, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPTIONS = {"format": ("format", "text"), "f": ("format", "text"), "quiet": ("quiet", "flag"), "q": ("quiet", "flag")}

USAGE = """\
usage: seatrial-runtime list [OPTIONS]

List the containers beneath the root.

options:
  --format, -f FORMAT    table or json (default: table)
  --quiet, -q            print the ids only
"""

COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    if arguments:
        raise UsageError(f"unexpected argument {arguments[0]!r}")
    format = options.text("format", "table")
    if format not in ("table", "json"):
        raise UsageError(f"option --format takes table or json, not {format!r}")
    reports = containers(context)
    if options.flag("quiet"):
        write_stdout("".join(f"{entry['id']}\n" for entry in reports))
    elif format == "json":
        from seatrial.runtime.document import dumps, for_go

        write_stdout(for_go(dumps(reports or None)) + "\n")  # runc prints null for none
    else:
        rows = [COLUMNS] + [tuple(str(entry[name.lower()]) for name in COLUMNS) for entry in reports]
        write_stdout(table(rows))
    return 0


def containers(context: Context) -> list[dict[str, Any]]:
    """The report of each container, sorted by id; a directory that cannot be understood is a warning."""
    try:
        names = sorted(os.listdir(context.root))
    except FileNotFoundError:
        if context.root_given:
            raise SyscallError("open", context.root, 2) from None
        return []
    reports = []
    for name in names:
        if name == CACHE:
            continue
        try:
            with StateDirectory.open(context.root, name) as directory:
                state = directory.load()
                if state is None:
                    if not directory.busy():
                        context.log.warning(f"{name}: no state.json: left by an interrupted create")
                    continue
                entry = report(state, status_of(directory, state))
                entry["owner"] = user_name(os.fstat(directory.fd).st_uid)
        except (SeatrialError, OSError) as error:
            context.log.warning(f"{name}: {error}")
            continue
        reports.append(entry)
    return reports


def user_name(uid: int) -> str:
    """The name of a user of this host; ``#uid`` without one."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows in columns at least 12 wide and 3 apart, as Go's tabwriter lays runc's out."""
    widths = [max(12, *(len(row[column]) + 3 for row in rows)) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)
