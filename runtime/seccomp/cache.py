"""Compiled seccomp profiles, kept below the runtime's root: a real profile takes libseccomp tens of milliseconds.

An entry is a file in ``<root>/.cache/seccomp``, named after everything that the program depends on: the profile, the
kernel and our own way of compiling.  It says which libseccomp made it; another one makes it anew.  Whatever is wrong
with the cache, the profile is compiled: nothing here raises an error of its own.

What is read goes into the kernel as the container's filter.  So directories and entries must belong to this user and
nobody else may write to them; an entry carries a checksum and is replaced by rename(2).
"""

from __future__ import annotations

import os
import struct

from seatrial.native.seccomp import INSTRUCTION_BYTES, supported_flags
from seatrial.runtime.document import dumps
from seatrial.runtime.state import CACHE
from seatrial.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Seccomp
    from seatrial.runtime.seccomp.compiled import CompiledFilter

PLACE = (CACHE, "seccomp")
ENTRIES = 64  # the oldest go; a host uses a handful of profiles
FORMAT = 1  # to be raised with every change of what a profile compiles to
_MAGIC = b"STSC"
_DIGEST_BYTES = 32
_HEAD = struct.Struct("<III")  # flags, notify, length of the library's identity; then that, and the program
_LINKER_CACHE = "/etc/ld.so.cache"  # ld.so(8): which library a name stands for


def filter_of(profile: Seccomp, root: str) -> CompiledFilter:
    """The program for a profile, from the cache below `root` ("": there is none) if it is there.

    Raises what `compile_filter` raises.
    """
    flags = supported_flags()
    name = _name(profile, flags) if root else ""
    found = _load(root, name) if root else None
    if found is not None:
        return found
    # libseccomp is loaded only for profiles that are met for the first time.
    from seatrial.runtime.seccomp.filter import compile_filter

    made = compile_filter(profile, known_flags=flags)
    if root:
        _keep(root, name, made)
    return made


def _load(root: str, name: str) -> CompiledFilter | None:
    directory = _open_place(root, make=False)
    if directory < 0:
        return None
    try:
        return _read(directory, name)
    finally:
        os.close(directory)


def _keep(root: str, name: str, made: CompiledFilter) -> None:
    directory = _open_place(root, make=True)
    if directory < 0:
        return
    try:
        _write(directory, name, made)
    finally:
        os.close(directory)


def _digest(data: bytes, size: int = _DIGEST_BYTES) -> bytes:
    from _blake2 import blake2b  # hashlib imports OpenSSL

    result: bytes = blake2b(data, digest_size=size).digest()
    return result


def _name(profile: Seccomp, flags: int) -> str:
    kernel = os.uname()
    content = profile.replace(listener_path="", listener_metadata="").to_json()
    search = os.environ.get("LD_LIBRARY_PATH", "")
    key = dumps([FORMAT, VERSION, kernel.machine, kernel.release, flags, search, content])
    return _digest(key.encode("utf-8", "surrogateescape"), 20).hex()


def _trusted(fd: int) -> bool:
    status = os.fstat(fd)
    return status.st_uid == os.geteuid() and status.st_mode & 0o022 == 0


def _open_place(root: str, make: bool) -> int:
    """The cache's directory; -1 when there is none that can be trusted."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(root, flags)
    except OSError:
        return -1
    for name in PLACE:
        below = -1
        try:
            try:
                below = os.open(name, flags, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    os.close(fd)
                    return -1
                try:
                    os.mkdir(name, 0o700, dir_fd=fd)
                except FileExistsError:  # another runtime was quicker
                    pass
                below = os.open(name, flags, dir_fd=fd)
        except OSError:  # a full disk, a read-only one, something else in its place
            pass
        os.close(fd)
        fd = below
        if fd < 0:
            return -1
        if not _trusted(fd):
            os.close(fd)
            return -1
    return fd


def _read(directory: int, name: str) -> CompiledFilter | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            status = os.fstat(fd)
            if status.st_mode & 0o170000 != 0o100000 or not _trusted(fd):
                return None
            data = os.read(fd, status.st_size + 1)
        finally:
            os.close(fd)
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    body = data[start:]
    if len(body) < _HEAD.size or data[:start] != _MAGIC + _digest(body):
        return None  # cut short by a crash, or of another version
    flags, notify, length = _HEAD.unpack_from(body)
    library = body[_HEAD.size : _HEAD.size + length]
    program = body[_HEAD.size + length :]
    if library != _identity(library.split(b"\0", 1)[0]) or not program or len(program) % INSTRUCTION_BYTES:
        return None
    from seatrial.runtime.seccomp.compiled import CompiledFilter

    return CompiledFilter(program, flags, bool(notify))


def _write(directory: int, name: str, made: CompiledFilter) -> None:
    library = _identity(_loaded_library())
    if not library:
        return
    body = _HEAD.pack(made.flags, made.notify, len(library)) + library + made.filter
    temporary = f"{name}.{os.getpid()}.{_thread_id()}"
    try:
        _make_room(directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=directory)
        try:
            data = _MAGIC + _digest(body) + body
            complete = os.write(fd, data) == len(data)
        finally:
            os.close(fd)
        if complete:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.unlink(temporary, dir_fd=directory)
    except OSError:
        try:
            os.unlink(temporary, dir_fd=directory)
        except OSError:
            pass


def _thread_id() -> int:
    import _thread

    return _thread.get_ident()


def _make_room(directory: int) -> None:
    """Remove the oldest entries, and what killed runtimes left, until one more fits."""
    names = os.listdir(directory)
    if len(names) < ENTRIES:
        return
    ages = []
    for name in names:
        try:
            ages.append((os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, name))
        except FileNotFoundError:
            pass
    for _age, name in sorted(ages)[: len(ages) - ENTRIES + 1]:
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass


def _identity(path: bytes) -> bytes:
    """The library at a path, and the linker's cache that may send us to another one; b"" when it is not there."""
    try:
        library = os.stat(path)
    except (OSError, ValueError):
        return b""
    try:
        cache = os.stat(_LINKER_CACHE)
        linker = (cache.st_ino, cache.st_size, cache.st_mtime_ns)
    except OSError:  # musl has none
        linker = (0, 0, 0)
    numbers = (library.st_dev, library.st_ino, library.st_size, library.st_mtime_ns, *linker)
    return path + b"\0" + b" ".join(b"%d" % number for number in numbers)


def _loaded_library() -> bytes:
    """The path of the libseccomp in this process, by its name without the version where that is the same file."""
    from seatrial.runtime.seccomp.libseccomp import SONAME

    soname = SONAME.encode()
    try:
        with open("/proc/self/maps", "rb") as file:
            for line in file:
                path = line[line.find(b"/") :].rstrip(b"\n") if b"/" in line else b""
                directory, slash, name = path.rpartition(b"/")
                if name.startswith(soname):
                    general = directory + slash + soname
                    return general if os.path.exists(general) and os.path.samefile(general, path) else path
    except OSError:
        pass
    return b""
