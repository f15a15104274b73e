"""`checkpoint`: dump a container's processes to images, and delete it unless it is left running."""

from __future__ import annotations

import os

from seatrial.runtime.cli.criu_options import OPTIONS as CRIU_OPTIONS
from seatrial.runtime.cli.criu_options import USAGE as CRIU_USAGE
from seatrial.runtime.cli.criu_options import criu_options, page_server, warn_without_root
from seatrial.runtime.cli.launching import keep_from_hooks
from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.errors import ContainerNotFoundError, SeatrialError, UsageError

OPTIONS = CRIU_OPTIONS | {
    "parent-path": ("parent_path", "text"),
    "leave-running": ("leave_running", "flag"),
    "pre-dump": ("pre_dump", "flag"),
    "page-server": ("page_server", "text"),
    "status-fd": ("status_fd", "text"),
}

USAGE = f"""\
usage: seatrial-runtime checkpoint [OPTIONS] ID

Dump the processes of a running or paused container with CRIU.  Then they end and the container is deleted, unless it is
left running.

{CRIU_USAGE}\
  --leave-running            let the container run on
  --pre-dump                 dump memory alone, and let the container run on
  --parent-path DIR          the images of the pre-dump before, relative to --image-path
  --page-server ADDRESS:PORT send memory pages there; with --lazy-pages: serve them there
  --status-fd N              with --lazy-pages: write a NUL byte to descriptor N when pages are served
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    id = one_id("checkpoint", arguments)
    warn_without_root(context)
    status_fd = options.text("status_fd", "-1")
    if status_fd != "-1" and not (status_fd.isascii() and status_fd.isdigit()):
        raise UsageError(f"option --status-fd takes a number, not {status_fd!r}")
    if os.path.isabs(options.text("parent_path")):
        raise UsageError("option --parent-path takes a path relative to --image-path")
    chosen = criu_options(
        context,
        options,
        parent_image=options.text("parent_path"),
        leave_running=options.flag("leave_running"),
        pre_dump=options.flag("pre_dump"),
        page_server=page_server(options.text("page_server")),
        status_fd=int(status_fd),
    )
    keep_from_hooks()  # CRIU would keep them open, too: whoever waits for the end of the status descriptor
    with Container.load(context.root, id, log=context.log) as container:
        container.checkpoint(chosen)
        if not (chosen.leave_running or chosen.pre_dump):
            try:
                container.destroy()
            except ContainerNotFoundError:
                pass  # who runs it in the foreground was faster
            except SeatrialError as error:
                error.add_hints("the images are complete", "`delete` removes the container")
                raise
    return 0
