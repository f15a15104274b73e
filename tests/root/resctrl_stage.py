"""A directory that plays a resctrl mount for the conformance cases and for the runtime, on hosts without the hardware.

As a pytest plugin (`-p resctrl_stage`) it makes the cases look there; as a program it is the runtime under test, which
finds its groups there:

    python resctrl_stage.py BUG ARGUMENTS...      BUG: "none", or what the runtime does wrong

Both take the directory from SEATRIAL_RESCTRL.  The kernel's part is played by the functions that either side calls: a
new directory comes with its files, `tasks` collects processes, `schemata` takes one line a write.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import Any

DEFAULT = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"
MOST = 8  # groups of the hardware
PLACE = "SEATRIAL_RESCTRL"


def fill(path: str, *, monitor: bool = False) -> None:
    """The files that the kernel puts into a group."""
    put(os.path.join(path, "tasks"), "")
    if not monitor:
        put(os.path.join(path, "schemata"), DEFAULT)
        os.mkdir(os.path.join(path, "mon_groups"))


def put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def make(path: str, mode: int = 0o755) -> None:
    """mkdir(2) of a group: ENOSPC when the hardware has no more."""
    root = os.environ[PLACE]
    if sum("tasks" in files for _, _, files in os.walk(root)) > MOST:
        raise OSError(errno.ENOSPC, "No space left on device", path)
    os.mkdir(path, mode)
    fill(path, monitor=os.path.basename(os.path.dirname(path)) == "mon_groups")


def remove(path: str) -> None:
    """rmdir(2) of a group, its files with it."""
    if not os.path.isdir(path):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
    shutil.rmtree(path)


def write(path: str, text: str) -> None:
    """write(2) to `tasks` or `schemata`.  OSError EINVAL: a resource that the hardware lacks."""
    if os.path.basename(path) == "tasks":
        with open(path, "a", encoding="ascii") as file:
            file.write(text.strip() + "\n")
        return
    resource, _, values = text.strip().partition(":")
    with open(path, encoding="ascii") as file:
        lines = dict(line.strip().split(":") for line in file)
    if resource not in lines:
        raise OSError(errno.EINVAL, "Invalid argument", path)
    now = dict(entry.split("=") for entry in lines[resource].split(";"))
    now |= dict(entry.split("=") for entry in values.split(";"))
    lines[resource] = ";".join(f"{domain}={value}" for domain, value in now.items())
    put(path, "".join(f"    {name}:{value}\n" for name, value in lines.items()))


class Shadow:
    """The module os with the mkdir and rmdir of the stage."""

    mkdir = staticmethod(make)
    rmdir = staticmethod(remove)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def set_up(root: str) -> None:
    """Make the mount point."""
    os.mkdir(root)
    fill(root)


# -- the cases' side ---------------------------------------------------------------------------------------------------


def pytest_configure(config: Any) -> None:
    """Make the cases see the stage."""
    from seatrial.conformance.cases.linux import resource_groups
    from seatrial.conformance.engine import needs

    needs.HOST["rdt"] = lambda: None
    needs._host.cache_clear()
    stage: Any = resource_groups
    stage.ROOT = os.environ[PLACE]
    stage.os = Shadow()
    stage.write_line = lambda path, line: write(path, line)


# -- the runtime's side ------------------------------------------------------------------------------------------------


def play(bug: str) -> int:
    """The runtime's command line on the stage."""
    from seatrial.runtime import resctrl
    from seatrial.runtime.cli.main import main
    from seatrial.runtime.errors import SyscallError

    runtime: Any = resctrl

    def written(path: str, text: str) -> None:
        try:
            write(path, text)
        except OSError as error:
            raise SyscallError("write", path, error.errno or 0, "") from None

    runtime.os = Shadow()
    runtime._write = written
    runtime.mount_point = lambda *_: os.environ[PLACE]
    group = runtime.Group
    if bug == "class-is-kept":
        runtime.remove_directory = lambda path: None
    elif bug == "existing-class-is-overwritten":
        group._compare = lambda self: runtime.write_lines(self.path, self.lines)
    elif bug == "schemata-come-first":
        real = runtime.write_lines
        runtime.write_lines = lambda path, lines: real(path, reversed(list(lines)))
    elif bug == "only-the-first-line":
        first = runtime.write_lines
        runtime.write_lines = lambda path, lines: first(path, list(lines)[:1])
    elif bug == "nobody-joins":
        runtime.join = lambda state, pid: None
    elif bug == "named-class-is-removed":
        create = group.create

        def owned(self: Any, state: Any, directory: Any) -> None:
            create(self, state, directory)
            state.intel_rdt_owned = self.path != self.root
            directory.save(state)

        group.create = owned
    elif bug == "no-monitoring":
        begin = group.__init__

        def unmonitored(self: Any, *arguments: Any) -> None:
            begin(self, *arguments)
            self.monitor = ""

        group.__init__ = unmonitored
    return main()


BUGS = (
    "class-is-kept",
    "existing-class-is-overwritten",
    "schemata-come-first",
    "only-the-first-line",
    "nobody-joins",
    "named-class-is-removed",
    "no-monitoring",
)

if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    sys.exit(play(chosen))
