"""What `create` and `run` have in common: options, bundle, the process with its descriptors."""

from __future__ import annotations

import os

from seatrial.runtime.cli.caller import preserved, terminal_size
from seatrial.runtime.cli.main import Context
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.errors import UsageError
from seatrial.runtime.load import load_config
from seatrial.runtime.process import Process
from seatrial.runtime.state import check_id

COMMON_OPTIONS = {
    "bundle": ("bundle", "text"),
    "b": ("bundle", "text"),
    "console-socket": ("console_socket", "text"),
    "pidfd-socket": ("pidfd_socket", "text"),
    "pid-file": ("pid_file", "text"),
    "preserve-fds": ("preserve_fds", "count"),
    "no-pivot": ("no_pivot", "flag"),
    "no-new-keyring": ("no_new_keyring", "flag"),
}

COMMON_USAGE = """\
options:
  --bundle, -b DIR         the bundle (default: the working directory)
  --console-socket PATH    unix socket that gets the master of the container's terminal
  --pid-file PATH          write the pid of the container's init there
  --preserve-fds N         pass descriptors 3 to 2+N to the program
  --no-pivot               MS_MOVE in place of pivot_root, for a rootfs on a ramdisk
  --no-new-keyring         keep the caller's session keyring
"""


def prepare(context: Context, options: Options, id: str, detached: bool) -> tuple[Container, Process]:
    """The reserved container and its process, not started.  Raises UsageError, ConfigError and what `create` raises."""
    check_id(id)
    if options.text("pidfd_socket"):
        raise UsageError("--pidfd-socket is not supported yet")
    extra = inherited(options.count("preserve_fds"))
    keep_from_hooks()
    config = load_config(
        os.path.abspath(options.text("bundle") or "."),
        no_pivot=options.flag("no_pivot"),
        no_new_keyring=options.flag("no_new_keyring"),
        systemd_cgroup=context.systemd_cgroup,
        rootless=context.rootless,
    )
    process = Process.from_config(config.process)
    process.extra_fds = extra
    for name in ("pid_file", "console_socket"):
        if options.text(name):
            setattr(process, name, os.path.abspath(options.text(name)))
    if process.terminal and detached and not process.console_socket:
        raise UsageError("process.terminal is set: a detached container needs --console-socket")
    if process.console_socket and not process.terminal:
        raise UsageError("--console-socket is given, but process.terminal is not set")
    if process.console_socket and not detached:
        raise UsageError("--console-socket is for detached containers")
    if process.terminal and not detached and not process.console_width:
        process.console_width, process.console_height = terminal_size()
    container = Container.create(context.root, id, config, checked=True, log=context.log)
    return container, process


def keep_from_hooks() -> None:
    """Mark every inherited descriptor from 3 close-on-exec: hooks are executed by this process."""
    from seatrial.native.syscall import close_range

    try:
        close_range(3, cloexec=True)
    except OSError:  # before Linux 5.11
        for entry in os.listdir("/proc/self/fd"):
            try:
                os.set_inheritable(int(entry), int(entry) < 3)
            except OSError:  # the one that listed the directory
                pass


def inherited(count: int) -> list[int]:
    """Descriptors 3 to 2+count, which must be open, and those of socket activation (sd_listen_fds(3)) before them."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "").isdigit():
        count += int(os.environ["LISTEN_FDS"])
    return preserved(count)
