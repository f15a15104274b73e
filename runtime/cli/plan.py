"""`plan`: print what a bundle compiles to; nothing is created."""

from __future__ import annotations

import os

from seatrial.runtime.cli.main import Context, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.errors import UsageError

OPTIONS = {
    "bundle": ("bundle", "text"),
    "b": ("bundle", "text"),
    "exec": ("exec", "flag"),
    "format": ("format", "text"),
    "f": ("format", "text"),
    "no-pivot": ("no_pivot", "flag"),
    "no-new-keyring": ("no_new_keyring", "flag"),
}

USAGE = """\
usage: seatrial-runtime plan [OPTIONS] [ID]

Print the plan for a bundle's container: the operations that the executor would run, in order; then its device rules
and the program that cgroup v2 gets for them.

options:
  --bundle, -b DIR       the bundle (default: the working directory)
  --exec                 the plan of exec, for the same program as an additional process
  --format, -f FORMAT    text or json (default: text)
  --no-pivot             as for create
  --no-new-keyring       as for create
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    from seatrial.runtime.cgroup.device_report import describe_devices, devices_json
    from seatrial.runtime.document import pretty
    from seatrial.runtime.launch import preview, preview_exec
    from seatrial.runtime.load import load_config

    if len(arguments) > 1:
        raise UsageError(f"unexpected argument {arguments[1]!r}")
    format = options.text("format", "text")
    if format not in ("text", "json"):
        raise UsageError(f"option --format takes text or json, not {format!r}")
    config = load_config(
        os.path.abspath(options.text("bundle") or "."),
        no_pivot=options.flag("no_pivot"),
        no_new_keyring=options.flag("no_new_keyring"),
    )
    for warning in config.warnings:
        context.log.warning(warning)
    if options.flag("exec") and config.process is None:
        raise UsageError("config.json has no process to exec")
    plan = (preview_exec if options.flag("exec") else preview)(arguments[0] if arguments else "preview", config)
    rules = [] if options.flag("exec") else config.cgroups.resources.devices  # exec finds them in place
    if format == "text":
        devices = describe_devices(rules)
        write_stdout(f"{plan.describe()}\n{devices}" if devices else plan.describe())
    else:
        write_stdout(pretty({"operations": plan.to_json(), "devices": devices_json(rules)}) + "\n")
    return 0
