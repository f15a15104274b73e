"""`spec`: write an example config.json."""

from __future__ import annotations

import os

from seatrial.runtime.cli.main import Context
from seatrial.runtime.cli.options import Options
from seatrial.runtime.document import pretty
from seatrial.runtime.errors import SyscallError, UsageError

OPTIONS = {"bundle": ("bundle", "text"), "b": ("bundle", "text"), "rootless": ("rootless", "flag")}

USAGE = """\
usage: seatrial-runtime spec [OPTIONS]

Write an example config.json; one that exists is never overwritten.

options:
  --bundle, -b DIR    where to write it (default: the working directory)
  --rootless          for a container of an ordinary user
"""


def main(_context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    from seatrial.runtime.spec_template import is_cgroup2_host, template

    if arguments:
        raise UsageError(f"unexpected argument {arguments[0]!r}")
    path = os.path.join(options.text("bundle"), "config.json")
    document = template(rootless=options.flag("rootless"), cgroup2=is_cgroup2_host())
    data = pretty(document, "\t").encode() + b"\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except FileExistsError:
        raise UsageError(f"{path} exists already", "remove it, or choose another --bundle") from None
    except OSError as error:
        raise SyscallError.of("write", path, error) from None
    return 0
