"""What `create` and `run` have in common: options, bundle, the process with its descriptors."""

from __future__ import annotations

import os

from seatrial.runtime.cli.caller import preserved, set_paths, terminal_size
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
  --pidfd-socket PATH      unix socket that gets a pidfd of the container's init
  --pid-file PATH          write the pid of the container's init there
  --preserve-fds N         pass descriptors 3 to 2+N to the program
  --no-pivot               MS_MOVE in place of pivot_root, for a rootfs on a ramdisk
  --no-new-keyring         keep the caller's session keyring
"""


def prepare(context: Context, options: Options, id: str, detached: bool) -> tuple[Container, Process]:
    """The reserved container and its process, not started.  Raises UsageError, ConfigError and what `create` raises."""
    check_id(id)
    activated = listen_fds()
    extra = preserved(activated + options.count("preserve_fds"))
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
    set_paths(process, options)
    if process.terminal and detached and not process.console_socket:
        raise UsageError("process.terminal is set: a detached container needs --console-socket")
    if process.console_socket and not process.terminal:
        raise UsageError("--console-socket is given, but process.terminal is not set")
    if process.console_socket and not detached:
        raise UsageError("--console-socket is for detached containers")
    if process.terminal and not detached and not process.console_width:
        process.console_width, process.console_height = terminal_size()
    if activated:
        config.init_env += [f"LISTEN_FDS={activated}", "LISTEN_PID=1"]
    notified = False
    if os.environ.get("NOTIFY_SOCKET"):
        from seatrial.runtime.readiness import add_to_config

        notified = add_to_config(config, context.root, id)
    container = Container.create(context.root, id, config, checked=True, log=context.log)
    if notified:
        from seatrial.runtime.readiness import make_directory

        make_directory(context.root, id)
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


def listen_fds() -> int:
    """How many descriptors from 3 up are sockets for the program (socket activation, sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return 0
    return int(count)
