"""`seatrial-runtime`: global options, the choice of the verb, and what an error looks like.

Verbs are modules of this package, imported one at a time: start-up is part of every container's life.  A verb's module
has OPTIONS (see `options.parse`), USAGE, optionally INTERSPERSED = False and FAILURE (the exit status of its errors,
else 1), and ``main(context, options, arguments)``, which returns the exit status.
"""

from __future__ import annotations

import os
import sys

from seatrial.runtime.cli.log import PROGRAM, Log
from seatrial.runtime.cli.options import Options, parse
from seatrial.runtime.deferral import INTERRUPTIONS
from seatrial.runtime.errors import SeatrialError, UsageError, describe_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    import _signal

VERBS = (
    "create", "start", "run", "exec", "state", "kill", "delete", "list", "ps", "pause", "resume", "update", "events",
    "checkpoint", "restore", "spec",
    "features", "plan",
)  # fmt: skip

GLOBAL_OPTIONS = {
    "root": ("root", "text"),
    "log": ("log", "text"),
    "log-format": ("log_format", "text"),
    "debug": ("debug", "flag"),
    "criu": ("criu", "text"),
    "systemd-cgroup": ("systemd_cgroup", "flag"),
    "rootless": ("rootless", "text"),
    "version": ("version", "flag"),
    "v": ("version", "flag"),
    "help": ("help", "flag"),
    "h": ("help", "flag"),
}

USAGE = f"""\
usage: {PROGRAM} [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]

An OCI container runtime that compiles config.json to a plan and lets a small static program run it.

commands:
  create     create a container
  start      run the program of a created container
  run        create a container and run its program
  exec       run another program in a container
  state      print the state of a container
  kill       send a signal to a container's init process
  delete     delete a container that has stopped
  list       list the containers
  ps         show the processes of a container
  events     show what a container uses, and when it runs out of memory
  pause      stop the processes of a container
  resume     let the processes of a paused container go on
  update     change a container's limits
  checkpoint dump the processes of a container to images
  restore    create a container from images
  spec       write an example config.json
  features   print what this runtime supports
  plan       print the plan that a bundle compiles to

global options:
  --root DIR             where the state of containers is kept (default: {{root}})
  --log FILE             append warnings and errors to FILE
  --log-format FORMAT    text or json (default: text)
  --debug                report decisions too
  --criu PROGRAM         the CRIU to use for checkpoint and restore (default: criu, looked up in PATH)
  --systemd-cgroup       let systemd make the cgroup: linux.cgroupsPath is SLICE:PREFIX:NAME
  --rootless auto        accepted for runc's callers; also true or false
  --version, -v          print the version
  --help, -h             print this, or with a command its own help
"""


class Context:
    """What the global options say."""

    def __init__(self, options: Options, log: Log) -> None:
        self.root = os.path.abspath(options.text("root")) if "root" in options.given else default_root()
        self.root_given = "root" in options.given
        self.log = log
        self.criu = options.text("criu") or "criu"
        self.systemd_cgroup = options.flag("systemd_cgroup")
        self.rootless = options.text("rootless", "auto")


class Interruption(SeatrialError):  # noqa: N818  (nothing has gone wrong)
    """A signal asked the runtime to stop: what it was building is taken down on the way out."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal


def default_root() -> str:
    """/run/seatrial; for an ordinary user, or a user namespace's root, beneath XDG_RUNTIME_DIR (as runc decides)."""
    runtime_directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime_directory and (os.geteuid() != 0 or (os.environ.get("USER", "root") != "root" and _in_user_namespace())):
        return os.path.join(runtime_directory, "seatrial")
    return "/run/seatrial"


def _in_user_namespace() -> bool:
    try:
        with open("/proc/self/uid_map", "rb") as file:
            return file.read().split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False


def _terminate(number: int, _frame: FrameType | None) -> None:
    for each in INTERRUPTIONS:  # the way out is not interrupted; nor is it inherited, as SIG_IGN would be
        _signal.signal(each, _disregard)
    raise Interruption(number)


def _disregard(_number: int, _frame: FrameType | None) -> None:
    pass


def _open_standard_files() -> None:
    """A caller may have closed fds 0 to 2; a file that we open must not get such a number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    _open_standard_files()
    log = Log()
    words = sys.argv[1:] if argv is None else argv
    what = ""
    failure = 1
    try:
        options, words = parse(GLOBAL_OPTIONS, words, interspersed=False)
        if options.flag("version"):
            return _version()
        if options.flag("help") or not words or words[0] == "help":
            return _print(USAGE.format(root=default_root()))
        format = options.text("log_format", "text")
        if format not in ("text", "json"):
            raise UsageError(f"option --log-format takes text or json, not {format!r}")
        log = Log(options.text("log"), format == "json", options.flag("debug"))
        if options.text("rootless", "auto") not in ("auto", "true", "false"):
            raise UsageError(f"option --rootless takes true, false or auto, not {options.text('rootless')!r}")
        verb = words.pop(0)
        if verb not in VERBS:
            raise UsageError(f"unknown command {verb!r}", f"`{PROGRAM} --help` lists the commands")
        what = f"{verb}: "
        module = __import__(f"seatrial.runtime.cli.{verb}", fromlist=("main",))
        table = module.OPTIONS | {"help": ("help", "flag"), "h": ("help", "flag")}
        options_of_verb, arguments = parse(table, words, getattr(module, "INTERSPERSED", True))
        if options_of_verb.flag("help"):
            return _print(module.USAGE)
        if arguments and arguments[0] and verb not in ("list", "spec", "features", "plan"):
            what = f"{verb} {arguments[0]}: "
        for number in INTERRUPTIONS:
            _signal.signal(number, _terminate)
        context = Context(options, log)
        if context.root == "/":
            raise UsageError("option --root may not be /")
        failure = getattr(module, "FAILURE", 1)
        status: int = module.main(context, options_of_verb, arguments)
        return status
    except Interruption as error:
        log.error(f"{what}{error}")
        return 128 + error.signal
    except SeatrialError as error:
        log.error(f"{what}{error}")
        return failure
    except OSError as error:
        log.error(f"{what}{describe_os_error(error)}")
        return failure
    except Exception as error:
        if log.debugging:
            import traceback

            log.debug(traceback.format_exc())
        log.error(f"{what}internal error: {type(error).__name__}: {error} (this is a bug; --debug shows where)")
        return failure


def one_id(verb: str, arguments: list[str]) -> str:
    """The one argument of a verb that takes a container id.  Raises UsageError."""
    if not arguments:
        raise UsageError("no container id given", f"usage: {PROGRAM} {verb} ID")
    if len(arguments) > 1:
        raise UsageError(f"one container id expected, got {len(arguments)} arguments: {' '.join(arguments)}")
    return arguments[0]


def _version() -> int:
    from seatrial.runtime.version import SPEC_VERSION, VERSION

    return _print(f"{PROGRAM} version {VERSION}\nspec: {SPEC_VERSION}\n")


def _print(text: str) -> int:
    write_stdout(text)
    return 0


def write_stdout(text: str) -> None:
    """Write to fd 1, all of it.  Raises OSError, so that a full disk is not taken for success."""
    view = memoryview(text.encode("utf-8", "surrogateescape"))
    while view:
        view = view[os.write(1, view) :]
