"""The directory of an image: CRIU's files, and beside them two of ours.

descriptors.json   libcontainer's: a list of what fds 0 to 2 of init are, ``pipe:[N]`` or a path.  On restore others
                   take the place of pipes, and of files and terminals that no path of the container leads to, which
                   have CRIU's names here: ``file[MOUNT:INODE]``, ``tty[RDEV:DEV]``.
container.json     what the container was: `Config` as JSON, keys of external mounts, the programs that are mapped.
"""

from __future__ import annotations

import errno
import os
import stat

from seatrial.runtime.document import dumps, loads
from seatrial.runtime.errors import CriuError, SeatrialError, SyscallError
from seatrial.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DESCRIPTORS_FILE = "descriptors.json"
CONTAINER_FILE = "container.json"
INVENTORY = "inventory.img"  # CRIU writes it last
FORMAT = 1


class Directory:
    """An open directory for images, or for CRIU's logs and statistics.  Close it."""

    def __init__(self, path: str, *, make: bool) -> None:
        """`make`: mode 0700, unless it is there already.  Raises SyscallError."""
        self.path = os.path.abspath(path)
        self.fd = -1
        self.restored: tuple[int, int] | None = None  # group and mode to be given back
        try:
            if make:
                try:
                    os.makedirs(os.path.dirname(self.path), exist_ok=True)
                    os.mkdir(self.path, 0o700)
                except FileExistsError:
                    pass
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SyscallError.of("open the directory", self.path, error) from None

    def again(self) -> int:
        """The directory once more, in the mount namespace of the calling thread.  Raises SyscallError."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SyscallError.of("open the directory", self.path, error) from None
        if not os.path.samestat(os.fstat(fd), os.fstat(self.fd)):
            os.close(fd)
            raise SyscallError("open the directory", self.path, errno.ESTALE, "another one has taken its place")
        return fd

    def open_to(self, gid: int) -> None:
        """Let a group pass through the directory, until it is closed: CRIU looks for images in a user namespace too.

        The group's own memory is in them, nobody else's.  Where that cannot be done, CRIU will tell.
        """
        found = os.fstat(self.fd)
        if not found.st_mode & 0o001:
            try:
                os.fchown(self.fd, -1, gid)
                self.restored = (found.st_gid, stat.S_IMODE(found.st_mode))
                os.fchmod(self.fd, stat.S_IMODE(found.st_mode) | 0o010)
            except OSError:
                pass

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file, mode 0600.  Raises SyscallError."""
        data = dumps(value).encode("utf-8", "surrogateescape")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, 0o600, dir_fd=self.fd)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
        except OSError as error:
            raise SyscallError.of("write", os.path.join(self.path, name), error) from None

    def read(self, name: str) -> Any:
        """The value of a JSON file; None when there is no such file.  Raises SyscallError, CriuError for no JSON."""
        path = os.path.join(self.path, name)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                data = b""
                while more := os.read(fd, 1 << 20):
                    data += more
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SyscallError.of("read", path, error) from None
        try:
            return loads(data)
        except SeatrialError as error:
            raise CriuError(f"{path} is damaged: {error.message}") from None

    def has(self, name: str) -> bool:
        """Whether there is such an entry."""
        try:
            os.stat(name, dir_fd=self.fd)
        except OSError:
            return False
        return True

    def remove(self, *names: str) -> None:
        """Remove files that may be there."""
        for name in names:
            try:
                os.unlink(name, dir_fd=self.fd)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise SyscallError.of("unlink", os.path.join(self.path, name), error) from None

    def close(self) -> None:
        """Twice is fine."""
        if self.fd >= 0:
            if self.restored is not None:
                os.fchmod(self.fd, self.restored[1])
                os.fchown(self.fd, -1, self.restored[0])
            os.close(self.fd)
            self.fd = -1


def parent_directory(images: str, parent: str) -> None:
    """Check the image before this one.  Raises CriuError unless it is a directory, relative to the images.

    The directory of the images itself is perhaps still to be made: `..` then leads out of its name.
    """
    if os.path.isabs(parent):
        raise CriuError(f"the parent image {parent} is an absolute path", "it is relative to the images directory")
    path = os.path.join(images, parent)
    if not os.path.isdir(path if os.path.isdir(images) else os.path.normpath(path)):
        raise CriuError(f"the parent image {path} is not a directory")


class Record:
    """container.json."""

    def __init__(
        self, id: str, config: dict[str, Any], mounts: list[str], programs: dict[str, Any], criu: str, cgroups: bool
    ) -> None:
        self.id = id
        self.config = config  # Config.to_json()
        self.mounts = mounts  # keys of the external mounts
        self.programs = programs  # path in the container -> [size, BLAKE2b-256 or ""]
        self.criu = criu  # its version
        self.cgroups = cgroups  # whether CRIU has dumped cgroups

    def save(self, directory: Directory) -> None:
        """Write it.  Raises SyscallError."""
        document = {
            "format": FORMAT,
            "runtime": f"seatrial {VERSION}",
            "criu": self.criu,
            "cgroups": self.cgroups,
            "id": self.id,
            "config": self.config,
            "external_mounts": self.mounts,
            "programs": self.programs,
        }
        directory.write(CONTAINER_FILE, document)

    @classmethod
    def load(cls, directory: Directory) -> Record | None:
        """Read it; None for an image of another runtime.  Raises CriuError, SyscallError."""
        document = directory.read(CONTAINER_FILE)
        if document is None:
            return None
        try:
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']}")
            return cls(
                document["id"],
                document["config"],
                document["external_mounts"],
                document["programs"],
                document["criu"],
                document["cgroups"],
            )
        except (KeyError, TypeError, ValueError) as error:
            path = os.path.join(directory.path, CONTAINER_FILE)
            raise CriuError(f"{path} cannot be understood: {error}", "another version of seatrial wrote it") from None


def open_image(path: str) -> Directory:
    """The directory of a complete image.  Raises CriuError, SyscallError."""
    directory = Directory(path, make=False)
    if not directory.has(INVENTORY):
        directory.close()
        raise CriuError(f"{directory.path} has no image of CRIU in it", f"{INVENTORY} is missing")
    return directory
