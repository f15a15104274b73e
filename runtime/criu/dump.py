"""`checkpoint`: a container's processes become an image."""

from __future__ import annotations

import os
import stat

from seatrial.runtime.config import Config
from seatrial.runtime.criu import messages
from seatrial.runtime.criu.image import DESCRIPTORS_FILE, Directory, Record, parent_directory
from seatrial.runtime.criu.mounts import MountEntry, external_mounts, parse_mountinfo
from seatrial.runtime.criu.options import EXTERNAL_NAMESPACES, common, in_foreign_cgroup, log_path, network_lock
from seatrial.runtime.criu.report import failure
from seatrial.runtime.criu.service import Service, check_features, check_version, version_text
from seatrial.runtime.errors import CriuError, StateError, SyscallError, UsageError
from seatrial.runtime.state import init_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.checkpoint import CriuOptions
    from seatrial.runtime.log import Log
    from seatrial.runtime.state import State

LOG = "dump.log"
_RESOLVE_IN_ROOT = 0x10
_O_PATH = 0o10000000
_TERMINALS = (4, *range(136, 144))  # consoles and serial lines, pseudo-terminals: admin-guide/devices.txt


class Dump:
    """One dump, or pre-dump, of a container that runs or is paused.  After a failure the container goes on."""

    def __init__(self, state: State, options: CriuOptions, log: Log, *, paused: bool) -> None:
        self.state = state
        self.config = Config.from_json(state.config)
        self.options = options
        self.log = log
        self.paused = paused
        self.status_fd = options.status_fd
        self.pid = state.init_process_pid
        self.images: Directory | None = None
        self.work: Directory | None = None

    def perform(self) -> None:
        """Dump.  Raises CriuError, StateError when init has ended, UsageError, SyscallError."""
        options = self.options
        chosen = common(options, self.config)
        if not options.images_directory:
            raise UsageError("no directory for the images is given")
        if options.parent_image:
            parent_directory(options.images_directory, options.parent_image)
        self._check_status_fd()
        version = check_version(options.criu, self.log)
        if lock := network_lock(options, version, os.environ.get("PATH", "")):
            chosen["network_lock"] = lock
        features = tuple(
            name for name, wanted in (("mem_track", options.pre_dump), ("lazy_pages", options.lazy_pages)) if wanted
        )
        if features:
            check_features(options.criu, features)
        try:
            self.images = Directory(options.images_directory, make=True)
            self.work = Directory(options.work_directory, make=True) if options.work_directory else None
            self._dump(chosen, version_text(version))
        finally:
            for directory in (self.images, self.work):
                if directory is not None:
                    directory.close()

    def _dump(self, chosen: dict[str, Any], version: str) -> None:
        options, images = self.options, self.images
        assert images is not None
        chosen |= self._options()
        if options.pre_dump:
            type = messages.PRE_DUMP
        else:
            type = messages.DUMP
            entries = self._mount_entries()
            mounts = external_mounts(entries, self.config, self._mount_id)
            descriptors = self._descriptors(entries)
            self._warn_of_others()
            chosen["external"] += [f"mnt[{path}]:{key}" for path, key in mounts]
            chosen["external"] += [name for name in descriptors if name.startswith(("file[", "tty["))]
            images.write(DESCRIPTORS_FILE, descriptors)
            keys = [key for _path, key in mounts]
            cgroups = chosen["manage_cgroups_mode"] != messages.CGROUP_MODES["ignore"]
            Record(self.state.id, self.state.config, keys, self._programs(), version, cgroups).save(images)
        if not init_alive(self.state):  # everything above was read by its pid
            raise StateError(f"container {self.state.id} is stopped", "its init has just ended")
        log = log_path(options, LOG)
        try:
            with Service(options.criu) as service:
                try:
                    response = service.request(type, chosen, notified=self._notified)
                except CriuError as error:
                    raise failure(f"dump container {self.state.id}", None, log, f"{error}") from None
                service.end()
                if not response.success:
                    raise failure(f"dump container {self.state.id}", response, log, service.shown())
        except BaseException:
            self._let_go()
            raise

    def _options(self) -> dict[str, Any]:
        """What only a dump has, apart from its mounts."""
        options, config = self.options, self.config
        assert self.images is not None
        chosen: dict[str, Any] = {
            "images_dir_fd": self.images.fd,
            "log_file": LOG,
            "pid": self.pid,
            "root": config.rootfs,
            "leave_running": options.leave_running,
            "tcp_skip_in_flight": options.tcp_skip_in_flight,
            "link_remap": options.link_remap,
            "external": self._namespaces(),
        }
        if self.work is not None:
            chosen["work_dir_fd"] = self.work.fd
        if not options.manage_cgroups_mode and self._in_foreign_cgroup():
            self.log.debug("the container is in a cgroup that is not its own: CRIU is to ignore cgroups")
            chosen["manage_cgroups_mode"] = messages.CGROUP_MODES["ignore"]
        freezer = self.state.cgroup_paths.get("freezer") or self.state.cgroup_paths.get("")
        if freezer:  # else CRIU stops the processes one by one
            chosen["freeze_cgroup"] = freezer
        if options.page_server is not None:
            chosen["ps"] = {"address": options.page_server.address, "port": options.page_server.port}
        if options.parent_image:
            chosen["parent_img"] = options.parent_image
        if options.parent_image or options.pre_dump:
            chosen["track_mem"] = True
        return chosen

    def _namespaces(self) -> list[str]:
        """The network and pid namespaces that the container has joined: they are there on restore as well."""
        external = []
        for type, key in EXTERNAL_NAMESPACES.items():
            namespace = self.config.namespace(type)
            if namespace is not None and namespace.path:
                external.append(f"{type}[{_inode(f'/proc/{self.pid}/ns/{type}')}]:{key}")
        return external

    def _in_foreign_cgroup(self) -> bool:
        path = f"/proc/{self.pid}/cgroup"
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return in_foreign_cgroup(file.read(), self.state.cgroup_paths)
        except OSError as error:
            raise self._gone(path, error) from None

    def _mount_entries(self) -> list[MountEntry]:
        if not self.config.private("mnt"):
            return []
        path = f"/proc/{self.pid}/mountinfo"
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                return parse_mountinfo(file.read())
        except OSError as error:
            raise self._gone(path, error) from None

    def _mount_id(self, path: str) -> int | None:
        """The mount that a path of the container lies on; its symlinks do not lead out of it."""
        from seatrial.native.syscall import openat2

        root = self._root()
        try:
            fd = openat2(root, path, _O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        except OSError:
            return None
        finally:
            os.close(root)
        try:
            return _fdinfo("/proc/self", fd)
        finally:
            os.close(fd)

    def _root(self) -> int:
        path = f"/proc/{self.pid}/root"
        try:
            return os.open(path, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._gone(path, error) from None

    def _gone(self, path: str, error: OSError) -> StateError | SyscallError:
        if not init_alive(self.state):
            return StateError(f"container {self.state.id} is stopped", "its init has just ended")
        return SyscallError.of("open", path, error)

    def _descriptors(self, entries: list[MountEntry]) -> list[str]:
        """What fds 0 to 2 were at the start, by names under which a restore can give others.

        A file of the host, which no path of the container leads to, is external.
        """
        mounts = {entry.id for entry in entries}
        names = [name.removesuffix(" (deleted)") for name in self.state.external_descriptors]
        files = {name for name in names if name.startswith("/")}
        outside: dict[str, str] = {}
        if files and mounts:
            directory = f"/proc/{self.pid}/fd"
            try:
                for number in os.listdir(directory):
                    target = os.readlink(f"{directory}/{number}").removesuffix(" (deleted)")
                    mount = _fdinfo(f"/proc/{self.pid}", int(number)) if target in files else None
                    if mount is not None and mount not in mounts:
                        outside[target] = _external_name(os.stat(f"{directory}/{number}"), mount)
            except OSError as error:
                self.log.debug(f"read {directory}: {error.strerror}")
        return [outside.get(name, name) for name in names]

    def _warn_of_others(self) -> None:
        """CRIU takes init and its descendants: what `exec` has started beside them is not in the image."""
        from seatrial.runtime.cgroup.place import from_paths

        if not self.state.cgroup_paths:
            return
        pids = from_paths(self.state.cgroup_paths).pids()
        others = [pid for pid in pids if not _descends(pid, self.pid)]
        if others:
            shown = ", ".join(map(str, others[:8])) + (" ..." if len(others) > 8 else "")
            self.log.warning(f"not in the image, because not descendants of init: {shown}")

    def _programs(self) -> dict[str, list[int | str]]:
        from seatrial.runtime.criu.programs import mapped

        root = self._root()
        try:
            return mapped([self.pid], root)
        finally:
            os.close(root)

    def _check_status_fd(self) -> None:
        if self.status_fd < 0:
            return
        import fcntl

        try:
            flags = fcntl.fcntl(self.status_fd, fcntl.F_GETFL)
        except OSError:
            raise UsageError(f"the status descriptor {self.status_fd} is not open") from None
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise UsageError(f"the status descriptor {self.status_fd} cannot be written to")

    def _notified(self, script: str, _pid: int, _fds: list[int]) -> None:
        self.log.debug(f"CRIU: {script}")
        if script == "status-ready" and self.status_fd >= 0:
            fd, self.status_fd = self.status_fd, -1
            try:
                os.write(fd, b"\0")
            except OSError as error:
                self.log.warning(f"the status descriptor {fd} cannot be written to: {error.strerror}")
            os.close(fd)

    def _let_go(self) -> None:
        """Thaw what a CRIU that was killed left frozen.  (It lets go of the processes whatever becomes of it.)"""
        from seatrial.runtime.cgroup.place import from_paths
        from seatrial.runtime.state import frozen

        if not self.paused and self.state.cgroup_paths and frozen(self.state.cgroup_paths):
            from_paths(self.state.cgroup_paths).thaw()


def _external_name(found: os.stat_result, mount: int) -> str:
    """CRIU's name for an open file that lies outside of the container (criu/external.c): numbers in hexadecimal."""
    if stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in _TERMINALS:
        return f"tty[{found.st_rdev:x}:{found.st_dev:x}]"
    return f"file[{mount:x}:{found.st_ino:x}]"


def _descends(pid: int, ancestor: int) -> bool:
    """Whether a process is another one or one of its descendants; one that has gone counts as such."""
    while pid != ancestor:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                text = file.read()
        except OSError:
            return True
        pid = int(text[text.rfind(b")") + 2 :].split()[1])
        if pid <= 1:
            return False
    return True


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError as error:
        raise SyscallError.of("stat", path, error) from None


def _fdinfo(process: str, fd: int) -> int | None:
    """The mount that an open file lies on: proc_pid_fdinfo(5), mnt_id (Linux 3.15)."""
    try:
        with open(f"{process}/fdinfo/{fd}", encoding="ascii") as file:
            for line in file:
                if line.startswith("mnt_id:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None
