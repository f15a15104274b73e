"""The state directory ``<root>/<id>/``: reserving an id, locking, state.json, and what status a container has.

The directory is the only thing that reserves an id: mkdir(2) decides between two creates.  Operations that change a
container hold flock(2) on the directory itself, so that no lock file outlives its container; whoever gets the lock
looks whether the directory is still the one at its path.  state.json is replaced by rename(2), never written in place.

Nothing here trusts a pid alone: a pid counts only together with the start time of its process.
"""

from __future__ import annotations

import errno
import os
import time

from seatrial.runtime.document import dumps, loads
from seatrial.runtime.errors import (
    ContainerExistsError,
    ContainerNotFoundError,
    SeatrialError,
    StateError,
    SyscallError,
    UsageError,
)
from seatrial.runtime.version import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATE_FILE = "state.json"
CACHE = ".cache"  # what is kept below the root beside the containers, and so is no id
GATE_SOCKET = "start.sock"
_TEMPORARY = "state.json.new"
_SETTLE_TRIES = 50  # 2 ms each
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"


class State:
    """What state.json holds.  Paths are host paths, the start time is in clock ticks since boot (proc_pid_stat(5))."""

    __slots__ = (
        "cgroup_paths",
        "config",
        "created",
        "executor",
        "external_descriptors",
        "id",
        "init_process_pid",
        "init_process_start",
        "intel_rdt_mon_path",
        "intel_rdt_owned",
        "intel_rdt_path",
        "interfaces",
        "late_operations",
        "namespace_paths",
        "ready",
        "rootless",
        "systemd_unit",
        "systemd_user",
    )

    def __init__(self, id: str, config: dict[str, Any]) -> None:
        self.id = id
        self.init_process_pid = 0
        self.init_process_start = 0
        self.created = ""  # RFC 3339, UTC
        self.config = config  # Config.to_json()
        self.rootless = False
        self.cgroup_paths: dict[str, str] = {}  # v1: controller -> directory; v2: "" -> directory
        self.systemd_unit = ""  # the scope, with --systemd-cgroup
        self.systemd_user = False  # it belongs to the manager of the user
        self.intel_rdt_path = ""  # the directory of the class of service; "": none
        self.intel_rdt_owned = False  # it goes with the container
        self.intel_rdt_mon_path = ""  # the monitoring group, which always does
        self.interfaces: list[tuple[str, int]] = []  # name and index of the network devices that we made on the host
        self.namespace_paths: dict[str, str] = {}  # "NEWPID" -> /proc/PID/ns/pid
        self.external_descriptors: list[str] = []  # what fds 0 to 2 are, for CRIU
        self.executor: list[int] = [0, 0]  # st_dev and st_ino of the executor: init is `created` while it runs this
        self.ready = False  # create has finished
        self.late_operations: dict[str, str] = {}  # plan index -> description, for failures after the start signal

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """The state that `to_json` wrote.  Raises KeyError or TypeError for anything else."""
        state = cls(data["id"], data["config"])
        for name in cls.__slots__:
            setattr(state, name, data[name])
        return state


def check_id(id: str) -> None:
    """Raise UsageError unless `id` is made of ASCII letters, digits and ``_+-.`` and is no name of ours."""
    if not id:
        raise UsageError("the container id is empty")
    if id in (".", "..", CACHE) or not _ID_LETTERS.issuperset(id):
        raise UsageError(f"invalid container id {id!r}", "use ASCII letters, digits, '_', '+', '-' and '.'")


class StateDirectory:
    """An open ``<root>/<id>/``.  Close it, or use it in a with statement: that releases the lock as well."""

    def __init__(self, root: str, id: str, fd: int) -> None:
        self.root = root
        self.id = id
        self.path = os.path.join(root, id)
        self.fd = fd
        self.locked = False

    @classmethod
    def reserve(cls, root: str, id: str) -> StateDirectory:
        """Make the directory, mode 0711 (the mapped root of a user namespace passes through it), and lock it.

        Raises ContainerExistsError when anything is there already, and SyscallError.
        """
        check_id(id)
        path = os.path.join(root, id)
        try:
            try:
                os.mkdir(path, 0o711)
            except FileNotFoundError:
                os.makedirs(root, 0o700, exist_ok=True)
                if _of_the_session(root):
                    os.chmod(root, 0o1700)  # sticky: clean-ups leave it alone (XDG Base Directory Specification)
                os.mkdir(path, 0o711)
        except FileExistsError:
            raise ContainerExistsError(f"a container with the id {id} exists already") from None
        except OSError as error:
            hint = "set XDG_RUNTIME_DIR, or choose another --root" if error.errno == errno.EACCES else ""
            raise SyscallError.of("mkdir", path, error, hint) from None
        directory = cls(root, id, _open_directory(path, id))
        try:
            os.fchmod(directory.fd, 0o711)  # mkdir heeds the umask
            directory.lock(0)
        except BaseException:
            directory.close()
            raise
        return directory

    @classmethod
    def open(cls, root: str, id: str) -> StateDirectory:
        """Open the directory of an existing container, unlocked.  Raises ContainerNotFoundError."""
        check_id(id)
        return cls(root, id, _open_directory(os.path.join(root, id), id))

    def lock(self, seconds: float) -> None:
        """Take the lock, waiting `seconds` at most.

        Raises StateError when another operation keeps it, ContainerNotFoundError when the directory went meanwhile.
        """
        deadline = time.monotonic() + seconds
        while not self.try_lock():
            if time.monotonic() >= deadline:
                raise StateError(f"another operation on container {self.id} is under way")
            time.sleep(0.01)
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            there = None
        mine = os.fstat(self.fd)
        if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise ContainerNotFoundError(f"container {self.id} does not exist")

    def try_lock(self) -> bool:
        """Take the lock if nobody has it; whoever has it already may ask again."""
        from seatrial.native.syscall import LOCK_EX, LOCK_NB, flock

        try:
            flock(self.fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        self.locked = True
        return True

    def unlock(self) -> None:
        """Release the lock and stay open."""
        from seatrial.native.syscall import LOCK_UN, flock

        flock(self.fd, LOCK_UN)
        self.locked = False

    def busy(self) -> bool:
        """Whether somebody holds the lock, this object included."""
        from seatrial.native.syscall import LOCK_NB, LOCK_SH, LOCK_UN, flock

        if self.locked:
            return True
        try:
            flock(self.fd, LOCK_SH | LOCK_NB)
        except BlockingIOError:
            return True
        flock(self.fd, LOCK_UN)
        return False

    def save(self, state: State) -> None:
        """Replace state.json atomically.  Raises SyscallError."""
        data = dumps(state.to_json()).encode("utf-8", "surrogateescape")
        try:
            fd = os.open(_TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            os.rename(_TEMPORARY, STATE_FILE, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError as error:
            raise SyscallError.of("write", os.path.join(self.path, STATE_FILE), error) from None

    def load(self) -> State | None:
        """What state.json says, or None when there is none: a create was killed right at its beginning.

        Raises StateError when the file cannot be understood.
        """
        try:
            fd = os.open(STATE_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SyscallError.of("open", os.path.join(self.path, STATE_FILE), error) from None
        try:
            size = os.fstat(fd).st_size
            data = os.read(fd, size + 1)
            while len(data) < size:
                more = os.read(fd, size - len(data))
                if not more:
                    break
                data += more
        finally:
            os.close(fd)
        try:
            return State.from_json(loads(data))
        except (SeatrialError, KeyError, TypeError, ValueError) as error:
            hint = f"`delete --force {self.id}` removes the container"
            raise StateError(f"{os.path.join(self.path, STATE_FILE)} is damaged: {error}", hint) from None

    def remove(self) -> None:
        """Remove the directory and what is in it; one that is gone already is fine.  Raises SyscallError."""
        try:
            for name in os.listdir(self.fd):
                try:
                    os.unlink(name, dir_fd=self.fd)
                except FileNotFoundError:
                    pass
                except IsADirectoryError:
                    import shutil

                    shutil.rmtree(os.path.join(self.path, name))
            os.rmdir(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SyscallError.of("rmdir", self.path, error) from None

    def socket_path(self) -> str:
        """The gate's address: through /proc/self/fd, because sun_path holds 108 bytes and roots can be longer."""
        return f"/proc/self/fd/{self.fd}/{GATE_SOCKET}"

    def close(self) -> None:
        """Close the directory, which releases the lock; twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.locked = False

    def __enter__(self) -> StateDirectory:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _of_the_session(root: str) -> bool:
    """Whether a root lies in the directory of the user's session."""
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(directory) and root.startswith(directory + "/")


def _open_directory(path: str, id: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            raise ContainerNotFoundError(f"container {id} does not exist") from None
        raise SyscallError.of("open", path, error) from None


def process_stat(pid: int) -> tuple[str, int] | None:
    """The state letter and the start time of a process, from /proc/PID/stat; None when there is no such process.

    Raises SyscallError when the kernel does not say (ENOMEM, EMFILE, ...): a live process must not count as dead."""
    if pid <= 0:
        return None
    path = f"/proc/{pid}/stat"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, 4096)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError):  # ESRCH: while reading
        return None
    except OSError as error:
        raise SyscallError.of("read", path, error) from None
    fields = text[text.rfind(b")") + 2 :].split()  # the command name may hold anything, even ")"
    return chr(fields[0][0]), int(fields[19])


def init_alive(state: State) -> bool:
    """Whether the process that state.json names is still there: same start time, neither zombie nor dead."""
    stat = process_stat(state.init_process_pid)
    return stat is not None and stat[1] == state.init_process_start and stat[0] not in "ZXx"


def status_of(directory: StateDirectory, state: State) -> str:
    """The status, from the disk and the kernel: one of the five words of this module.

    ``creating`` needs a creator that still holds the lock; what a killed create left is ``stopped``.
    """
    if not state.ready:
        return CREATING if directory.busy() else STOPPED
    if not init_alive(state):
        return STOPPED
    if frozen(state.cgroup_paths):
        return PAUSED
    try:
        program = os.stat(f"/proc/{state.init_process_pid}/exe")
    except PermissionError:  # a non-dumpable init and a runtime without CAP_SYS_PTRACE: `start` unlinks the gate
        return CREATED if GATE_SOCKET in os.listdir(directory.fd) else RUNNING
    except OSError:
        return STOPPED
    return CREATED if [program.st_dev, program.st_ino] == state.executor else RUNNING


def frozen(cgroup_paths: dict[str, str]) -> bool:
    """Whether the container's cgroup itself is frozen: a frozen ancestor does not count, nor a cgroup that is gone.

    While processes are still stopping it waits a little: a `paused` that is reported can be relied on, unless one of
    them is in an uninterruptible sleep.
    """
    if "freezer" in cgroup_paths:
        directory, asked, answer, done = cgroup_paths["freezer"], "freezer.self_freezing", "freezer.state", b"FROZEN"
    elif "" in cgroup_paths:
        directory, asked, answer, done = cgroup_paths[""], "cgroup.freeze", "cgroup.events", b"frozen 1"
    else:
        return False
    for _ in range(_SETTLE_TRIES):
        if _content(f"{directory}/{asked}") != b"1":
            return False
        if done in _content(f"{directory}/{answer}"):
            break
        time.sleep(0.002)
    return True


def _content(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 256).strip()
    except OSError:  # ENODEV: the cgroup is being removed
        return b""
    finally:
        os.close(fd)


def now() -> str:
    """The time as RFC 3339 in UTC with nanoseconds."""
    nanoseconds = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(nanoseconds // 10**9))}.{nanoseconds % 10**9:09d}Z"


def report(state: State, status: str) -> dict[str, Any]:
    """What `state` prints and `list` is made of: the runtime-spec's State with runc's additions.

    The pid is 0 once the container has stopped; `owner` is filled in by `list`.
    """
    document: dict[str, Any] = {
        "ociVersion": SPEC_VERSION,
        "id": state.id,
        "pid": 0 if status == STOPPED else state.init_process_pid,
        "status": status,
        "bundle": state.config["bundle"],
        "rootfs": state.config["rootfs"],
        "created": state.created,
    }
    if state.config.get("annotations"):
        document["annotations"] = state.config["annotations"]
    document["owner"] = ""
    return document
