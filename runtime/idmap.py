"""Writing the id mappings of a new user namespace: directly, or through newuidmap(1) and newgidmap(1).

Without CAP_SETUID and CAP_SETGID a process may map just its own effective ids, one each, and a gid only after
setgroups(2) has been denied (user_namespaces(7), Linux 3.19).  More ids come from the ranges that /etc/subuid and
/etc/subgid give to a user; the two set-user-id programs of the shadow package hand them out.
"""

from __future__ import annotations

import os

from seatrial.runtime.errors import SeatrialError, SyscallError, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, IDMap

_EPERM = 1
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def map_text(mappings: list[IDMap]) -> bytes:
    """The text of uid_map or gid_map."""
    return "".join(f"{line.container_id} {line.host_id} {line.size}\n" for line in mappings).encode()


def only_own(mappings: list[IDMap], own: int) -> bool:
    """Whether the mappings are what a user may write without help: the one id `own`."""
    return len(mappings) == 1 and mappings[0].host_id == own and mappings[0].size == 1


def write_maps(pid: int, config: Config) -> None:
    """Write the maps of process `pid`, our child, which has just entered its new user namespace.

    A map must arrive in one write(2).  Where the kernel refuses it (EPERM) and this is not root, the set-user-id
    programs are asked.  Raises SyscallError, and SeatrialError when they refuse or are not installed.
    """
    rootless = os.geteuid() != 0
    try:
        write_map(pid, "uid_map", map_text(config.uid_mappings))
    except SyscallError as error:
        if error.errno != _EPERM or not rootless or only_own(config.uid_mappings, os.geteuid()):
            raise
        _ask("newuidmap", pid, config.uid_mappings, os.geteuid())
    if rootless and only_own(config.gid_mappings, os.getegid()):
        write_map(pid, "setgroups", b"deny")
    try:
        write_map(pid, "gid_map", map_text(config.gid_mappings))
    except SyscallError as error:
        if error.errno != _EPERM or not rootless or only_own(config.gid_mappings, os.getegid()):
            raise
        _ask("newgidmap", pid, config.gid_mappings, os.getegid())


def write_map(pid: int, name: str, text: bytes) -> None:
    """Write one of the files of user_namespaces(7) about process `pid`; nothing for an empty text.

    Raises SyscallError.
    """
    if not text:
        return
    path = f"/proc/{pid}/{name}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)
    except FileNotFoundError:
        if name != "setgroups":
            raise SyscallError("write", path, 2) from None
    except OSError as error:
        shown = text.decode().strip().replace("\n", ", ")
        raise SyscallError.of(f"write {shown!r} to", path, error, _write_hint(error.errno or 0)) from None


def _write_hint(number: int) -> str:
    from seatrial.runtime.hints import user_namespace_hint

    if errno_name(number) == "EPERM":
        return user_namespace_hint() or "an id is not mapped in the runtime's own user namespace"
    return ""


def _ask(program: str, pid: int, mappings: list[IDMap], own: int) -> None:
    """Run newuidmap or newgidmap.  posix_spawn(3): no code of ours runs in the child."""
    what, table = ("uid", "/etc/subuid") if program == "newuidmap" else ("gid", "/etc/subgid")
    path = _find(program)
    if path is None:
        raise SeatrialError(
            f"a user may map only its own {what}, and {program}, which maps more of them, is not installed",
            "install the distribution's package uidmap or shadow-utils, or map one id",
        )
    argv = [program, str(pid)]
    for line in mappings:
        argv += [str(line.container_id), str(line.host_id), str(line.size)]
    reader, writer = os.pipe()
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, writer, 2),
        ]
        try:
            child = os.posix_spawn(path, argv, os.environ, file_actions=actions)
        except OSError as error:
            raise SyscallError.of("execute", path, error) from None
        finally:
            os.close(writer)
        said = b""
        while part := os.read(reader, 4096):
            said += part
        _, status = os.waitpid(child, 0)
    finally:
        os.close(reader)
    if status == 0:
        return
    text = said.decode("utf-8", "replace").strip().replace("\n", ", ").removeprefix(f"{program}: ")
    ending = text or f"exit status {os.waitstatus_to_exitcode(status)}"
    raise SeatrialError(f"{' '.join(argv)}: {ending}", _missing(mappings, what, table, own))


def _find(program: str) -> str | None:
    for directory in (os.environ.get("PATH") or _DEFAULT_PATH).split(":") + _DEFAULT_PATH.split(":"):
        path = os.path.join(directory, program)
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return None


def _missing(mappings: list[IDMap], what: str, table: str, own: int) -> str:
    """What the user's ranges lack for these mappings: the hint of the error."""
    import pwd

    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid} has no entry in /etc/passwd, by whose name its ranges are found"
    try:
        with open(table, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        return f"{table} cannot be read: {errno_name(error.errno or 0)}"
    ranges = ranges_of(text, user, uid)
    for index, line in enumerate(mappings):
        if (line.host_id, line.size) == (own, 1) or covered(line.host_id, line.size, ranges):
            continue
        has = " and ".join(f"{start} to {start + size - 1}" for start, size in ranges) or "no range"
        return (
            f"linux.{what}Mappings[{index}] wants {line.host_id} to {line.host_id + line.size - 1}, and {table} gives "
            f"{user} {has}; add a line such as {user}:{line.host_id}:{line.size}"
        )
    return ""


def ranges_of(text: str, user: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of the ranges that a text in the format of subuid(5) gives to a user, by name or number."""
    ranges = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)) and fields[1].isdecimal() and fields[2].isdecimal():
            ranges.append((int(fields[1]), int(fields[2])))
    return sorted(ranges)


def covered(first: int, count: int, ranges: list[tuple[int, int]]) -> bool:
    """Whether the sorted ranges together have every id from `first` on."""
    for start, size in ranges:
        if start <= first < start + size:
            more = start + size - first
            if more >= count:
                return True
            first, count = first + more, count - more
    return False
