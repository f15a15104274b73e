"""A container's cgroup, whatever the hierarchy: what `place` and `from_paths` return.

Life: ``create`` -> ``fd`` or ``join`` -> ``apply`` -> ``change`` ... -> ``kill_all`` -> ``remove``.  When `create`
raises, it has removed what it made, and the cgroup is not ours: neither kill nor remove it.

Errors: runtime.errors.SyscallError names call, file and value ("write 7 to /sys/fs/cgroup/pids/x/pids.max: EINVAL");
StateError when a cgroup is in use; UnsupportedError for a limit that this version of cgroups does not have.
"""

from __future__ import annotations

import errno
import os
import time

from seatrial.runtime.cgroup.files import ABSENT, children, pids_in, read, write
from seatrial.runtime.errors import SeatrialError, StateError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.undo import Undo
    from seatrial.runtime.config import Config, DeviceRule, Resources
    from seatrial.runtime.stats import Stats

SIGKILL = 9
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)  # to an unprivileged user
_RMDIR_TRIES = 10  # 1 ms, 2 ms ... 512 ms: dying processes leave their cgroup asynchronously
_JOIN_TRIES = 5
_O_PATH = 0o10000000


class Cgroup:
    """The container's directory in each hierarchy.

    `paths` is what state.json keeps: controller (``name=...`` for a named v1 hierarchy, "" for v2) -> absolute
    directory.  Controllers that share a hierarchy share the directory.
    """

    __slots__ = ("paths", "tolerant", "undo")

    version = 0  # 1 (v1 and hybrid) or 2

    def __init__(self, paths: dict[str, str], tolerant: bool = False) -> None:
        self.paths = paths
        self.tolerant = tolerant  # rootless, no path asked for: a hierarchy that refuses us is left out
        self.undo: Undo | None = None  # what `change` has to write back if it fails

    def directories(self) -> list[str]:
        """The directories, each once, in join order."""
        return list(dict.fromkeys(self.paths.values()))

    def exists(self) -> bool:
        """Whether any of the directories is there."""
        return any(os.path.isdir(path) for path in self.directories())

    # -- making and joining ---------------------------------------------------------------------------------------

    def prepare(self, config: Config, id: str) -> None:
        """What there is to know about the container before `create`."""

    def create(self, resources: Resources | None = None) -> None:
        """Make the directories and their parents; an existing cgroup is taken if it is empty and not frozen.

        `resources` are the limits that are to come: not every place has every controller (v2: threaded cgroups).
        StateError when it has processes (in it or below), or when it or an ancestor is frozen.
        """
        for directory in self.directories():
            found = _pids_below(directory) if os.path.isdir(directory) else []  # mostly it is not there
            if found:
                raise StateError(
                    f"cgroup {directory} is not empty: {len(found)} processes", "another container may use it"
                )
        self._refuse_frozen()  # before anything is made: controllers enabled above stay when the directory goes again
        made: list[str] = []
        try:
            for directory in self.directories():
                try:
                    self._create_one(directory, made, resources)
                except SyscallError as error:
                    if not (self.tolerant and error.errno in _REFUSED):
                        raise
                    self.paths = {name: path for name, path in self.paths.items() if path != directory}
            self._refuse_frozen()
        except BaseException:
            for directory in reversed(made):
                try:
                    os.rmdir(directory)
                except OSError:
                    break  # the error on its way out says more
            raise

    def _refuse_frozen(self) -> None:
        """A process placed there would never reach its first instruction, nor we the next line."""
        if self._stopped():
            raise StateError("the cgroup is frozen, or one above it is", f"thaw {self.directories()[-1]}")

    def _create_one(self, directory: str, made: list[str], resources: Resources | None) -> None:
        make_directories(directory, made)

    def fd(self) -> int:
        """An O_PATH descriptor of the v2 directory (hybrid: too) for CLONE_INTO_CGROUP; -1 where there is none."""
        path = self.paths.get("")
        if path is None:
            return -1
        try:
            return os.open(path, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SyscallError.of("open", path, error) from None

    def tasks(self) -> list[int]:
        """Descriptors of the v1 directories' `tasks` files for `spawn`, which saves the 10 ms that `join` takes.

        With them and `fd` a process is born in its cgroup on every kind of host.  The caller closes them.
        """
        fds: list[int] = []
        for directory in dict.fromkeys(path for name, path in self.paths.items() if name):
            try:
                fds.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
            except OSError as error:
                for fd in fds:
                    os.close(fd)
                raise SyscallError.of("open", f"{directory}/tasks", error) from None
        return fds

    def join(self, pid: int) -> None:
        """Move a process into the cgroup, in every hierarchy.

        EINVAL is retried 5 times 30 ms apart (cgroups(7): a zombie, or a real-time task in a group without budget).
        """
        for directory in self.directories():
            for attempt in range(_JOIN_TRIES):
                try:
                    write(directory, "cgroup.procs", pid)
                    break
                except SyscallError as error:
                    if error.errno != errno.EINVAL or attempt == _JOIN_TRIES - 1:
                        raise
                    time.sleep(0.03)

    def apply(self, resources: Resources) -> None:
        """Write the limits that are given; None leaves the kernel's value alone."""
        raise NotImplementedError

    def apply_devices(self, rules: list[DeviceRule]) -> None:
        """Put device rules in the place of those that are there."""
        raise NotImplementedError

    def change(self, resources: Resources) -> Undo:
        """`apply`, all or nothing: when a write fails, those before it are taken back, in reverse order.

        Device rules are left alone.  The Undo returned takes the whole change back.
        """
        from seatrial.runtime.cgroup.undo import Undo

        undo = self.undo = Undo()
        try:
            self.apply(resources.replace(devices=[]))
        except SeatrialError as error:
            error.add_hints(*undo.run())
            raise
        finally:
            self.undo = None
        return undo

    def put(self, directory: str, name: str, value: str | int, hint: str = "", back: list[str] | None = None) -> None:
        """Write a limit, and note how to take that back while `change` is at work.

        `back`: the lines that restore the file; None: what can be read from it now.
        """
        if self.undo is None:
            write(directory, name, value, hint)
            return
        if back is None:
            try:
                back = [read(directory, name)]
            except SyscallError:
                back = []  # absent, as the write will tell; or write-only: it cannot be taken back
        write(directory, name, value, hint)
        self.undo.note(directory, name, back)

    def delegate(self, uid: int) -> None:
        """Give the cgroup to a host uid where the kernel delegates safely: on v2.  Elsewhere it stays the runtime's."""

    # -- processes ------------------------------------------------------------------------------------------------

    def pids(self, recursive: bool = True) -> list[int]:
        """Processes in the cgroup (and in those below it), each once; empty when the cgroup is gone."""
        found: dict[int, None] = {}
        for directory in self._process_directories():
            found.update(dict.fromkeys(_pids_below(directory) if recursive else pids_in(directory)))
        return list(found)

    def _process_directories(self) -> list[str]:
        return self.directories()

    def populated(self) -> bool:
        """Whether a process is in it, or below, in any hierarchy."""
        return bool(self.pids())

    def stats(self) -> Stats:
        """What its processes have used, in every hierarchy."""
        raise NotImplementedError

    def frozen(self) -> bool:
        """Whether this cgroup itself is frozen (or freezing): a frozen ancestor does not count."""
        raise NotImplementedError

    def _stopped(self) -> bool:
        """Whether a process in it would not run: it or an ancestor is frozen.  Asked also before the cgroup exists."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop every process in it and below, and wait until they have stopped.

        SyscallError ETIMEDOUT after 10 s; after any failure the cgroup is thawed.
        """
        raise NotImplementedError

    def thaw(self) -> None:
        """Let the processes run again."""
        raise NotImplementedError

    def kill_all(self, signal: int = SIGKILL) -> None:
        """Signal every process in it and below, with no race against fork for SIGKILL.  Nobody there: nothing happens.

        A frozen cgroup is thawed by SIGKILL, since v1 delivers none while frozen.
        """
        raise NotImplementedError

    def _signal_each(self, signal: int) -> bool:
        """Signal what is there now; whether anything was."""
        found = self.pids()
        for pid in found:
            try:
                os.kill(pid, signal)
            except ProcessLookupError:
                pass
            except OSError as error:
                raise SyscallError.of("kill", f"{pid} with signal {signal}", error) from None
        return bool(found)

    @staticmethod
    def _kill_at_once(directory: str) -> bool:
        """cgroup.kill, Linux 5.14: SIGKILL for everybody in a v2 cgroup and below; False where it cannot be had.

        It reaches processes that are frozen in v2, and a process that is just being born.
        """
        try:
            write(directory, "cgroup.kill", 1)
        except SyscallError as error:
            if error.errno not in (*ABSENT, errno.EOPNOTSUPP):  # before 5.14, or gone; threaded
                raise
            return False
        return True

    def _kill_frozen(self) -> None:
        """SIGKILL under the freezer, so that none can fork away; without a freezer, until none is left."""
        try:
            self.freeze()
        except SeatrialError:
            pass  # no freezer, or somebody does not stop: the loop below is the second best
        try:
            for _ in range(20):
                if not self._signal_each(SIGKILL):
                    return
                self._thaw_tree()
                time.sleep(0.005)
        finally:
            self.thaw()

    def _thaw_tree(self) -> None:
        """Let everybody take a signal."""
        self.thaw()

    # -- the end --------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Remove the directories and what the container made below them; absent ones are fine.

        EBUSY (processes that are still dying) is retried for a second.  Parents stay, also those that `create` made.
        """
        for directory in reversed(self.directories()):
            remove_tree(directory)


def nearest(directory: str) -> str:
    """The directory itself, or where it is absent the one above it that is there."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def make_directories(directory: str, made: list[str]) -> None:
    """mkdir -p below a hierarchy; the directories made are appended to `made`."""
    missing = []
    level = directory
    while not os.path.isdir(level):
        missing.append(level)
        level = os.path.dirname(level)
    for level in reversed(missing):
        try:
            os.mkdir(level, 0o755)
            made.append(level)
        except FileExistsError:
            pass  # somebody else made the same parent meanwhile
        except OSError as error:
            refused = error.errno in _REFUSED and os.geteuid() != 0
            hint = "have a cgroup delegated to this user, or leave linux.cgroupsPath and the limits out"
            raise SyscallError.of("mkdir", level, error, hint if refused else "") from None


def remove_tree(directory: str) -> None:
    """rmdir, children first where there are any."""
    delay = 0.001
    for attempt in range(_RMDIR_TRIES + 1):
        try:
            os.rmdir(directory)
            return
        except OSError as error:
            if error.errno in ABSENT or not os.path.isdir(directory):
                return
            if error.errno != errno.EBUSY or attempt == _RMDIR_TRIES:
                raise SyscallError.of("rmdir", directory, error) from None
        below = children(directory)
        for child in below:
            remove_tree(child)
        if not below:
            time.sleep(delay)
            delay *= 2


def _pids_below(directory: str) -> list[int]:
    found = pids_in(directory)
    for child in children(directory):
        found += _pids_below(child)
    return found
