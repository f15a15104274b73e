"""The Process of `exec`: the container's own, or a file's, and what the options change in it.

The container's process is the one that `create` recorded.  The bundle is not read again: whatever becomes of it after
`create` has no effect on the container (runtime.md#create).
"""

from __future__ import annotations

import os

from seatrial.runtime import capability
from seatrial.runtime.cgroup.entry import parse_sub_cgroups
from seatrial.runtime.cli.caller import preserved
from seatrial.runtime.cli.options import Options
from seatrial.runtime.config import Capabilities, Config
from seatrial.runtime.errors import ConfigError, UsageError, errno_name
from seatrial.runtime.process import Process
from seatrial.runtime.user import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.container import Container
    from seatrial.runtime.log import Log

OPTIONS = {
    "additional-gids": ("additional_gids", "list"),
    "g": ("additional_gids", "list"),
    "apparmor": ("apparmor", "text"),
    "cap": ("cap", "list"),
    "c": ("cap", "list"),
    "cgroup": ("cgroup", "list"),
    "cwd": ("cwd", "text"),
    "env": ("env", "list"),
    "e": ("env", "list"),
    "no-new-privs": ("no_new_privs", "flag"),
    "preserve-fds": ("preserve_fds", "count"),
    "process": ("process", "text"),
    "p": ("process", "text"),
    "process-label": ("process_label", "text"),
    "tty": ("tty", "flag"),
    "t": ("tty", "flag"),
    "user": ("user", "text"),
    "u": ("user", "text"),
}

USAGE = """\
  --additional-gids, -g GID  add a supplementary group; may be repeated
  --apparmor PROFILE       AppArmor profile of the program
  --cap, -c CAP            add a capability; may be repeated
  --cgroup PATH            run in a cgroup below the container's; v1: CONTROLLER[,CONTROLLER]:PATH; may be repeated
  --cwd DIR                working directory, which must exist (default: the container's)
  --env, -e NAME=VALUE     set an environment variable; may be repeated
  --no-new-privs           set no_new_privs; also --no-new-privs=false
  --preserve-fds N         pass descriptors 3 to 2+N to the program
  --process, -p FILE       take the whole process from a JSON file (the `process` of a config.json)
  --process-label LABEL    SELinux label of the program
  --tty, -t                give the program a terminal
  --user, -u USER          UID, UID:GID, NAME or NAME:GROUP; names are those of the container
"""


def make_process(container: Container, options: Options, args: list[str], log: Log) -> Process:
    """The process that the command line asks for.  Raises UsageError, ConfigError."""
    config = container.config
    file = options.text("process")
    if file:
        process = _from_file(file, config, log)
        if args:
            raise UsageError(f"unexpected argument {args[0]!r}", "--process names the program already")
    else:
        if not args:
            raise UsageError("no command given", "usage: seatrial-runtime exec ID COMMAND [ARGUMENTS]")
        process = Process.from_config(config.process)
        process.args = args
        process.terminal = False
        process.console_width = process.console_height = 0
    process.extra_fds = preserved(options.count("preserve_fds"))
    process.sub_cgroups = parse_sub_cgroups(options.repeated("cgroup"))
    if options.flag("tty"):
        process.terminal = True
    if "cwd" in options.given:
        if not options.text("cwd").startswith("/"):
            raise UsageError(f"option --cwd takes an absolute path, not {options.text('cwd')!r}")
        process.cwd = options.text("cwd")
    if options.text("user"):
        process.user = options.text("user")
    for text in options.repeated("additional_gids"):
        gid = number(text)
        if gid is None:
            raise UsageError(f"option --additional-gids takes a number, not {text!r}")
        process.additional_gids.append(gid)
    for variable in options.repeated("env"):
        set_variable(process.env, variable)
    if options.repeated("cap"):
        add_capabilities(process, config, options.repeated("cap"))
    if "no_new_privs" in options.given:
        process.no_new_privileges = options.flag("no_new_privs")
    process.apparmor_profile = options.text("apparmor", process.apparmor_profile)
    process.process_label = options.text("process_label", process.process_label)
    return process


def _from_file(path: str, config: Config, log: Log) -> Process:
    """The Process that a process document describes; what it leaves out is not taken from the container, but for the
    overrides of `Process`."""
    from seatrial.runtime import document
    from seatrial.runtime.convert_process import convert_process
    from seatrial.runtime.load import restrict_capabilities
    from seatrial.runtime.spec import schema
    from seatrial.runtime.spec.rules import check

    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read() or b""
    except OSError as error:
        raise ConfigError("", f"read {path}: {errno_name(error.errno or 0)}") from None
    block = document.loads(data, os.path.basename(path))
    check(schema.PROCESS, block, "process")
    given = Config(oci_version=config.oci_version, bundle=config.bundle, rootfs=config.rootfs)
    convert_process(block, given)
    given.namespaces = config.namespaces
    restrict_capabilities(given)
    for warning in given.warnings:
        log.warning(warning)
    process = Process.from_config(given.process)
    process.capabilities = given.capabilities
    process.rlimits = given.rlimits
    process.scheduler = given.scheduler
    process.io_priority = given.io_priority
    process.oom_score_adj = given.oom_score_adj
    process.no_new_privileges = given.no_new_privileges
    process.apparmor_profile = given.apparmor_profile
    process.process_label = given.process_label
    process.cpu_affinity = given.exec_cpu_affinity
    return process


def set_variable(env: list[str], variable: str) -> None:
    """Put NAME=VALUE into an environment, in place of any older value.  Raises UsageError, without the value."""
    name, equals, _value = variable.partition("=")
    if not name or not equals:
        raise UsageError(f"option --env takes NAME=VALUE, not {name or '=...'!r}")
    env[:] = [entry for entry in env if entry.partition("=")[0] != name]
    env.append(variable)


def add_capabilities(process: Process, config: Config, names: list[str]) -> None:
    """Add to what the process has: bounding, effective, permitted; ambient where inheritable has it already.

    Never inheritable: a program that is not trusted with a capability could get it through a file's (CVE-2022-29162).
    Raises UsageError for a name that is none.
    """
    base = process.capabilities if process.capabilities is not None else config.capabilities
    unknown: list[str] = []
    added = capability.mask([name if name.startswith("CAP_") else f"CAP_{name}" for name in names], unknown)
    if unknown:
        raise UsageError(f"unknown capability {unknown[0]}", "capabilities(7) has the names")
    if base is None:
        return  # no restriction: it has them all
    process.capabilities = Capabilities(
        bounding=base.bounding | added,
        effective=base.effective | added,
        permitted=base.permitted | added,
        inheritable=base.inheritable,
        ambient=base.ambient | (added & base.inheritable),
    )
