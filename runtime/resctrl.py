"""linux.intelRdt: cache and memory bandwidth by the resctrl file system (Documentation/filesystems/resctrl.rst).

A class of service (CLOS) is a directory with the files `schemata` and `tasks`; a monitoring group is one below its
`mon_groups`.  The kernel fills both with their files at mkdir(2) and takes those along at rmdir(2).  Which directories
a container uses, and which of them go with it, is in state.json before they are made.
"""

from __future__ import annotations

import errno
import os

from seatrial.runtime.errors import ConfigError, StateError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.runtime.config import IntelRdt
    from seatrial.runtime.state import State, StateDirectory

_WHERE = "linux.intelRdt"
_SIZE = 1 << 16


def mount_point(mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """Where resctrl is mounted (proc_pid_mountinfo(5)), or None."""
    try:
        text = read_text(mountinfo)
    except SyscallError:
        return None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "resctrl":
            return before.split(" ")[4].encode("latin-1").decode("unicode_escape")  # \040 and the like
    return None


class Group:
    """The class of service of one container, and its monitoring group."""

    def __init__(self, id: str, rdt: IntelRdt, root: str | None) -> None:
        """`root` is where resctrl is mounted.  Raises ConfigError: not mounted, not supported by this CPU."""
        if root is None or not os.path.exists(os.path.join(root, "tasks")):
            hint = "mount -t resctrl resctrl /sys/fs/resctrl, on a CPU that has RDT, QoS or MPAM"
            raise ConfigError(_WHERE, "no resctrl file system is mounted", hint)
        self.rdt = rdt
        self.root = root
        # Written in this order, so that a later line decides (config-linux.md#intelrdt).
        self.lines = [line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema, *rdt.schemata) if line]
        self.path = root if rdt.clos_id == "/" else os.path.join(root, rdt.clos_id or id)
        self.monitor = os.path.join(self.path, "mon_groups", id) if rdt.enable_monitoring else ""
        self.made: list[str] = []  # by us, in order

    def create(self, state: State, directory: StateDirectory) -> None:
        """Make or check the class of service, and make the monitoring group.

        Raises ConfigError (a class that does not fit), SyscallError; what was made is gone again then.
        """
        exists = os.path.isdir(self.path)
        if not exists and self.rdt.clos_id and not self.lines:
            raise ConfigError(f"{_WHERE}.closID", f"{self.path} does not exist, and no schema is given to make it with")
        if exists:
            self._compare()
        state.intel_rdt_path = self.path
        state.intel_rdt_mon_path = self.monitor
        state.intel_rdt_owned = not exists and not self.rdt.clos_id
        directory.save(state)  # whoever cleans up after us knows what to look for
        try:
            if not exists:
                self._make(self.path)
                write_lines(self.path, self.lines)
            if self.monitor:
                self._make(self.monitor)
        except BaseException:
            self.discard()
            state.intel_rdt_path = state.intel_rdt_mon_path = ""
            state.intel_rdt_owned = False
            raise

    def discard(self) -> None:
        """The creation has failed: remove what was made for it, whatever its name."""
        for path in reversed(self.made):
            remove_directory(path)

    def _make(self, path: str) -> None:
        try:
            os.mkdir(path, 0o755)
        except OSError as error:
            hint = "the hardware has no more of them" if error.errno == errno.ENOSPC else ""
            raise SyscallError.of("mkdir", path, error, hint or last_status(path)) from None
        self.made.append(path)

    def _compare(self) -> None:
        """A class that exists has to be as it is asked for: it may have other users."""
        file = os.path.join(self.path, "schemata")
        for line in self.lines:
            if not parse_schemata([line]):
                raise ConfigError(_WHERE, f"{line!r} is no line of a schemata file, such as L3:0=f")
        wanted = parse_schemata(self.lines)
        if not wanted:
            return
        actual = parse_schemata(read_text(file).splitlines())
        for resource, values in wanted.items():
            for domain, value in values.items():
                found = actual.get(resource, {}).get(domain)
                if found != value:
                    has = "nothing" if found is None else found
                    raise ConfigError(_WHERE, f"{file} has {has} for {resource}:{domain}, not {value}")


def join(state: State, pid: int) -> None:
    """Put a process, with what it will fork, into the container's class of service and monitoring group."""
    for path in (state.intel_rdt_path, state.intel_rdt_mon_path):
        if path:
            _write(os.path.join(path, "tasks"), f"{pid}\n")


def remove(state: State) -> None:
    """Remove what was made for the container: its monitoring group, and a class of service that has its name.

    Raises SyscallError; a directory that is gone is fine.
    """
    if state.intel_rdt_mon_path:
        remove_directory(state.intel_rdt_mon_path)
    if state.intel_rdt_owned:
        remove_directory(state.intel_rdt_path)


def change(state: State, l3_cache_schema: str, mem_bw_schema: str) -> Callable[[], None]:
    """New schemas for a container that has a class of service, and in the configuration that `state` holds (the caller
    saves it); "": unchanged.  Returns what takes it back.  Raises StateError (no linux.intelRdt), SyscallError.
    """
    old = state.config
    rdt = old.get("intel_rdt")
    if rdt is None or not state.intel_rdt_path:
        raise StateError(f"container {state.id} has no linux.intelRdt", "its cache and bandwidth cannot be set")
    before = read_text(os.path.join(state.intel_rdt_path, "schemata")).splitlines()
    given = {"l3_cache_schema": l3_cache_schema, "mem_bw_schema": mem_bw_schema}

    def undo() -> None:
        state.config = old
        write_lines(state.intel_rdt_path, before)

    try:
        write_lines(state.intel_rdt_path, [line for line in given.values() if line])
    except SyscallError:
        undo()
        raise
    state.config = {**old, "intel_rdt": {**rdt, **{name: line for name, line in given.items() if line}}}
    return undo


def parse_schemata(lines: Iterable[str]) -> dict[str, dict[str, str]]:
    """Resource -> domain -> value of lines such as ``L3:0=ff;1=f``, values without leading zeros.  Later lines win."""
    found: dict[str, dict[str, str]] = {}
    for text in lines:
        for line in text.splitlines():
            resource, _, values = line.strip().partition(":")
            for entry in values.split(";"):
                domain, equals, value = entry.partition("=")
                if equals:
                    plain = value.strip().lower().lstrip("0") or "0"
                    found.setdefault(resource.strip(), {})[domain.strip()] = plain
    return found


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Write lines to a group's schemata, one write(2) each: a domain may not occur twice in one."""
    for line in lines:
        _write(os.path.join(path, "schemata"), f"{line.strip()}\n")


def remove_directory(path: str) -> None:
    """rmdir(2); the processes in it fall back to the parent group.  Raises SyscallError."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SyscallError.of("rmdir", path, error) from None


def last_status(path: str) -> str:
    """The kernel's own words about the last failed command, from the info directory of the mount."""
    while path != "/":
        path = os.path.dirname(path)
        try:
            text = read_text(os.path.join(path, "info", "last_cmd_status")).strip()
        except SyscallError:
            continue
        return "" if text == "ok" else text
    return ""


def read_text(path: str) -> str:
    """A whole file.  Raises SyscallError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(fd, _SIZE):
                parts.append(part)
        finally:
            os.close(fd)
    except OSError as error:
        raise SyscallError.of("read", path, error) from None
    return b"".join(parts).decode("latin-1")


def _write(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise SyscallError.of(f"write {text.strip()!r} to", path, error, last_status(path)) from None
