"""`restore`: create a container from images, in the foreground or detached."""

from __future__ import annotations

import os

from seatrial.runtime.cli.criu_options import OPTIONS as CRIU_OPTIONS
from seatrial.runtime.cli.criu_options import USAGE as CRIU_USAGE
from seatrial.runtime.cli.criu_options import criu_options, warn_without_root
from seatrial.runtime.cli.launching import prepare
from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options

OPTIONS = CRIU_OPTIONS | {
    "bundle": ("bundle", "text"),
    "b": ("bundle", "text"),
    "console-socket": ("console_socket", "text"),
    "detach": ("detach", "flag"),
    "d": ("detach", "flag"),
    "pid-file": ("pid_file", "text"),
    "no-subreaper": ("no_subreaper", "flag"),
    "no-pivot": ("no_pivot", "flag"),
    "keep": ("keep", "flag"),
    "tcp-close": ("tcp_close", "flag"),
    "lsm-profile": ("lsm_profile", "text"),
    "lsm-mount-context": ("lsm_mount_context", "text"),
}

USAGE = f"""\
usage: seatrial-runtime restore [OPTIONS] ID

Create a container from the images of `checkpoint` and a bundle with the same config.json.  In the foreground: pass
signals on, return the program's exit status, and delete the container at the end.

{CRIU_USAGE}\
  --bundle, -b DIR           the bundle (default: the working directory)
  --console-socket PATH      unix socket that gets the master of the container's terminal
  --detach, -d               return as soon as the container runs
  --pid-file PATH            write the pid of the container's init there
  --no-subreaper             do not adopt the container's orphans
  --no-pivot                 accepted: CRIU has its own way to change the root
  --keep                     do not delete the container when its program has ended
  --tcp-close                restore TCP connections closed
  --lsm-profile TYPE:NAME    another AppArmor profile (apparmor:NAME) or SELinux label (selinux:LABEL)
  --lsm-mount-context LABEL  another SELinux context for mounts that have one
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    detached = options.flag("detach")
    id = one_id("restore", arguments)
    warn_without_root(context)
    if not detached and not options.flag("no_subreaper"):
        from seatrial.native.syscall import PR_SET_CHILD_SUBREAPER, prctl

        prctl(PR_SET_CHILD_SUBREAPER, 1)
    chosen = criu_options(
        context,
        options,
        tcp_close=options.flag("tcp_close"),
        lsm_profile=options.text("lsm_profile"),
        lsm_mount_context=options.text("lsm_mount_context"),
    )
    os.environ.pop("NOTIFY_SOCKET", None)  # what the program has of it is in the images
    container, process = prepare(context, options, id, detached)
    with container:
        if detached:
            container.restore(process, chosen)
            return 0
        from seatrial.runtime.cli.foreground import attend

        return attend(container, process, lambda: container.restore(process, chosen), keep=options.flag("keep"))
