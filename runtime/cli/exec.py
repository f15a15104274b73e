"""`exec`: run another program in a container, in the foreground or detached."""

from __future__ import annotations

from seatrial.runtime.cli.caller import set_paths, terminal_size
from seatrial.runtime.cli.exec_process import OPTIONS as PROCESS_OPTIONS
from seatrial.runtime.cli.exec_process import USAGE as PROCESS_USAGE
from seatrial.runtime.cli.exec_process import make_process
from seatrial.runtime.cli.main import Context
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.errors import UsageError

INTERSPERSED = False  # the program's own options follow it
FAILURE = 255  # what is not the program's status: as runc, and unlike 1, hardly ever a program's own

OPTIONS = PROCESS_OPTIONS | {
    "console-socket": ("console_socket", "text"),
    "detach": ("detach", "flag"),
    "d": ("detach", "flag"),
    "ignore-paused": ("ignore_paused", "flag"),
    "pid-file": ("pid_file", "text"),
    "pidfd-socket": ("pidfd_socket", "text"),
}

USAGE = f"""\
usage: seatrial-runtime exec [OPTIONS] ID COMMAND [ARGUMENTS]
       seatrial-runtime exec --process FILE [OPTIONS] ID

Run a program in a created or running container.  In the foreground: pass signals on and return the program's exit
status (128 + N when signal N killed it); 255 when it could not be run.

options:
{PROCESS_USAGE}\
  --console-socket PATH    unix socket that gets the master of the terminal
  --detach, -d             return as soon as the program runs
  --ignore-paused          accept a paused container: the program starts when it is resumed
  --pid-file PATH          write the pid of the program there
  --pidfd-socket PATH      unix socket that gets a pidfd of the program
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    if not arguments:
        raise UsageError("no container id given", "usage: seatrial-runtime exec ID COMMAND [ARGUMENTS]")
    detached = options.flag("detach")
    id, args = arguments[0], arguments[1:]
    with Container.load(context.root, id, log=context.log) as container:
        process = make_process(container, options, args, context.log)
        set_paths(process, options)
        if process.terminal and detached and not process.console_socket:
            raise UsageError("a detached process with a terminal needs --console-socket")
        if process.console_socket and not process.terminal:
            raise UsageError("--console-socket is given, but there is no terminal", "add --tty")
        if process.console_socket and not detached:
            raise UsageError("--console-socket is for detached processes")
        if process.terminal and not detached and not process.console_width:
            process.console_width, process.console_height = terminal_size()
        ignore_paused = options.flag("ignore_paused")
        if detached:
            container.exec(process, ignore_paused=ignore_paused)
            return 0
        from seatrial.runtime.cli.foreground import Foreground

        foreground = Foreground(process)
        try:
            container.exec(process, ignore_paused=ignore_paused)
            return foreground.wait()
        except BaseException:  # not started, or interrupted before signals were passed on
            if process.started:
                process.signal(9)
            raise
        finally:
            foreground.close()
