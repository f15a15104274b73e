"""Entering the cgroups of a container that is there: what `exec` needs, and `create` does not.

The container may have moved on since state.json was written: its init into a child of the saved cgroup (which then
takes no process, for it hands its controllers to children), or the saved cgroup may be gone.  Then the new process goes
where init is now, unless the caller has named a place himself.  A named place lies beneath the container's cgroup, and
"beneath" is the kernel's word for it: openat2(2) with RESOLVE_BENEATH.
"""

from __future__ import annotations

import errno
import os

from seatrial.native.syscall import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
    write_file,
)
from seatrial.runtime.cgroup.files import ABSENT
from seatrial.runtime.errors import SyscallError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_O_PATH = 0o10000000
_DIRECTORY = _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Place:
    """One hierarchy's cgroup: its controllers ("" is v2's), its directory, and a descriptor (O_PATH)."""

    __slots__ = ("directory", "fd", "named", "names")

    def __init__(self, names: list[str], directory: str, fd: int, named: bool) -> None:
        self.names = names
        self.directory = directory
        self.fd = fd
        self.named = named  # by the caller: no other place will do


class Entry:
    """The ways into a container's cgroups.  `open` them, use `fd`, `tasks` and `join`, and `close` always.

    `paths` is what state.json keeps, `sub` is `Process.sub_cgroups`.  With `tolerant` (rootless) a hierarchy that
    refuses the process is a warning: it stays where the runtime is.
    """

    def __init__(
        self,
        paths: dict[str, str],
        sub: dict[str, str],
        init: int,
        *,
        tolerant: bool,
        debug: Callable[[str], None],
        warning: Callable[[str], None],
        attach: Callable[[int], None] | None = None,
    ) -> None:
        self.paths = paths
        self.sub = sub
        self.init = init
        self.tolerant = tolerant
        self.debug = debug
        self.warning = warning
        self.attach = attach  # into a user's scope: only systemd may move a process there from outside of it
        self.places: list[Place] = []
        self._others: list[int] = []

    def open(self) -> None:
        """Open the directories.  Raises UsageError (`sub` names what is not there), SyscallError."""
        directories: dict[str, list[str]] = {}
        for name, path in self.paths.items():
            directories.setdefault(path, []).append(name)
        for name in self.sub:
            if name not in self.paths and (name or not self.paths):
                known = ", ".join(filter(None, self.paths)) or "none: the host has cgroup v2 only"
                raise UsageError(f"the container has no cgroup of controller {name!r}", f"it has {known}")
        for directory, names in directories.items():
            subs = {self.sub[name] for name in names if name in self.sub}
            if not subs and "" in self.sub:
                subs = {self.sub[""]}
            if len(subs) > 1:
                raise UsageError(f"controllers {', '.join(names)} are one hierarchy, but get several cgroups")
            fd = self._open_one(directory, names, next(iter(subs), None))
            if fd >= 0:
                self.places.append(Place(names, directory, fd, bool(subs)))

    def _open_one(self, directory: str, names: list[str], sub: str | None) -> int:
        try:
            fd = os.open(directory, _DIRECTORY)
        except OSError as error:
            other = self._init_cgroup(names[0]) if error.errno in ABSENT and sub is None else -1
            if other >= 0:
                self.debug(f"cgroup {directory} is gone: using the one of init")
                return other
            if self.tolerant and sub is None:
                self.warning(f"cgroup {directory} cannot be entered: {errno.errorcode.get(error.errno or 0, '')}")
                return -1
            raise SyscallError.of("open", directory, error) from None
        if sub is None or not sub.strip("/"):
            return fd
        try:
            return open_beneath(fd, sub)
        except OSError as error:
            hint = "it must lie below the container's cgroup" if error.errno == errno.EXDEV else ""
            raise SyscallError.of("open cgroup", f"{sub} below {directory}", error, hint) from None
        finally:
            os.close(fd)

    def _init_cgroup(self, name: str) -> int:
        """A descriptor of the cgroup that init is in now; -1 when this process cannot reach it."""
        from seatrial.runtime.cgroup.hierarchy import detect, own_paths

        try:
            with open(f"/proc/{self.init}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
                path = own_paths(file.read()).get(name)
            hierarchy = detect()
            mounted = hierarchy.v1.get(name) if name else hierarchy.v2
            # "/..": outside of this process's cgroup namespace
            if path is None or mounted is None or path.startswith("/.."):
                return -1
            mounted.own = path
            return os.open(mounted.own_directory(), _DIRECTORY)
        except OSError:
            return -1

    # -- what the launch uses -------------------------------------------------------------------------------------

    @property
    def fd(self) -> int:
        """The v2 cgroup, for CLONE_INTO_CGROUP; -1 where there is none."""
        return next((place.fd for place in self.places if place.names[0] == ""), -1)

    def init_fd(self) -> int:
        """The v2 cgroup that init is in, if it is another one than `fd` and the caller has named none; else -1."""
        place = next((place for place in self.places if place.names[0] == ""), None)
        if place is None or place.named:
            return -1
        fd = self._init_cgroup("")
        if fd >= 0 and os.path.sameopenfile(fd, place.fd):
            os.close(fd)
            return -1
        if fd >= 0:
            self._others.append(fd)
        return fd

    def tasks(self) -> list[int]:
        """Descriptors of the v1 cgroups' `tasks` files, as `Cgroup.tasks`: the caller closes them."""
        fds: list[int] = []
        for place in self.places:
            if place.names[0] == "":
                continue
            try:
                fds.append(os.open("tasks", os.O_WRONLY | os.O_CLOEXEC, dir_fd=place.fd))
            except OSError as error:
                if self.tolerant and error.errno in _REFUSED:
                    self._stays_outside(place, error)
                    continue
                for fd in fds:
                    os.close(fd)
                raise SyscallError.of("open", f"{place.directory}/tasks", error) from None
        return fds

    def join(self, pid: int) -> None:
        """Move a process into every hierarchy's cgroup.  Raises SyscallError."""
        for place in self.places:
            try:
                self._write(place.fd, pid)
                self.debug(f"joined cgroup {place.directory}")
                continue
            except OSError as error:
                failure = error
            other = -1
            if not place.named and failure.errno in (errno.EBUSY, *ABSENT):
                other = self._init_cgroup(place.names[0])
            if other >= 0:
                self._others.append(other)
                try:
                    self._write(other, pid)
                    name = errno.errorcode[failure.errno or 0]
                    self.debug(f"cgroup {place.directory}: {name}; joined the one of init")
                    continue
                except OSError as error:
                    failure = error
            if self.attach is not None and failure.errno in _REFUSED:
                self.attach(pid)
                self.debug(f"cgroup {place.directory}: {errno.errorcode[failure.errno or 0]}; attached by systemd")
                try:
                    self._write(place.fd, pid)  # from the scope to a cgroup below it
                    continue
                except OSError as error:
                    failure = error
            if self.tolerant and not place.named and failure.errno in _REFUSED:
                self._stays_outside(place, failure)
                continue
            raise SyscallError.of("write", f"{pid} to {place.directory}/cgroup.procs", failure)

    def _stays_outside(self, place: Place, error: OSError) -> None:
        self.warning(f"cgroup {place.directory}: {errno.errorcode[error.errno or 0]}; the process stays outside")

    def _write(self, directory: int, pid: int) -> None:
        """EINVAL is retried as in `Cgroup.join`."""
        import time

        for attempt in range(5):
            try:
                write_file("cgroup.procs", str(pid), directory)
                return
            except OSError as error:
                if error.errno != errno.EINVAL or attempt == 4:
                    raise
                time.sleep(0.03)

    def close(self) -> None:
        """Close every descriptor; twice is fine."""
        for fd in (*(place.fd for place in self.places), *self._others):
            os.close(fd)
        self.places.clear()
        self._others.clear()


def open_beneath(directory: int, path: str) -> int:
    """A cgroup below another, by a path that may begin with a slash; O_PATH.  Raises OSError, EXDEV for a way out."""
    relative = path.lstrip("/")
    try:
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
        return openat2(directory, relative, _DIRECTORY, 0, resolve)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    # Before Linux 5.6, or behind a filter: cgroupfs has no symlinks, so ".." is the only way out.
    if ".." in relative.split("/"):
        raise OSError(errno.EXDEV, "openat: not beneath", path)
    return os.open(relative, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)


def parse_sub_cgroups(options: list[str]) -> dict[str, str]:
    """`Process.sub_cgroups` from values of --cgroup: PATH, or CONTROLLER[,CONTROLLER]:PATH (v1).  Raises UsageError."""
    sub: dict[str, str] = {}
    for option in options:
        controllers, colon, path = option.rpartition(":")
        names = controllers.split(",") if colon else [""]
        for name in names:
            if colon and not name:
                raise UsageError(f"option --cgroup: a controller's name is empty in {option!r}")
            if name in sub:
                raise UsageError(f"option --cgroup: several cgroups for {name or 'the process'}")
            sub[name] = path
    if "" in sub and len(sub) > 1:
        raise UsageError("option --cgroup: a path without a controller stands for all of them; give it alone")
    return sub
