"""`features`: print what this runtime supports, as the runtime-spec's Features structure."""

from __future__ import annotations

from seatrial.runtime.cli.main import Context, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.document import pretty
from seatrial.runtime.errors import UsageError

OPTIONS: dict[str, tuple[str, str]] = {}

USAGE = """\
usage: seatrial-runtime features

Print the features of this runtime as JSON (runtime-spec, features.md).
"""


def main(_context: Context, _options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    from seatrial.runtime.features import features

    if arguments:
        raise UsageError(f"unexpected argument {arguments[0]!r}")
    write_stdout(pretty(features(), "    ") + "\n")
    return 0
