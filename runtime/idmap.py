"""Writing the id mappings of a new user namespace (user_namespaces(7))."""

from __future__ import annotations

import os

from seatrial.runtime.errors import SyscallError, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, IDMap


def map_text(mappings: list[IDMap]) -> bytes:
    """The text of uid_map or gid_map."""
    return "".join(f"{line.container_id} {line.host_id} {line.size}\n" for line in mappings).encode()


def write_maps(pid: int, config: Config) -> None:
    """Write the maps of process `pid`, which has just entered its new user namespace.

    A map must arrive in one write(2).  Without privilege the kernel takes a gid_map only after setgroups(2) is denied
    (Linux 3.19).  Raises SyscallError.
    """
    if config.rootless_euid:
        write_map(pid, "setgroups", b"deny")
    write_map(pid, "uid_map", map_text(config.uid_mappings))
    write_map(pid, "gid_map", map_text(config.gid_mappings))


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
        hint = "this user may map only its own ids" if errno_name(error.errno or 0) == "EPERM" and os.geteuid() else ""
        raise SyscallError.of(f"write {shown!r} to", path, error, hint) from None
