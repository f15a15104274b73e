"""What a restored container gets from outside of its images: streams, namespaces, network devices, cgroups."""

from __future__ import annotations

import os

from seatrial.runtime.config import NAMESPACE_FLAGS
from seatrial.runtime.criu.image import DESCRIPTORS_FILE
from seatrial.runtime.criu.options import EXTERNAL_NAMESPACES
from seatrial.runtime.criu.service import FIRST
from seatrial.runtime.errors import CriuError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.checkpoint import CriuOptions
    from seatrial.runtime.config import Config
    from seatrial.runtime.criu.image import Directory
    from seatrial.runtime.process import Process

# Names of descriptors.json under which CRIU takes another descriptor.
_REPLACED = ("pipe:", "file[", "tty[")


class Descriptors:
    """Those that CRIU gets (`passed`, from FIRST on), and others that are needed while it works."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self.kept: list[int] = []

    def give(self, fd: int) -> int:
        """Let CRIU have a descriptor, which becomes this object's; its number there."""
        self.passed.append(fd)
        return FIRST + len(self.passed) - 1

    def keep(self, fd: int) -> int:
        """Close it with the others; the same descriptor."""
        self.kept.append(fd)
        return fd

    def close(self) -> None:
        """Close all of them."""
        for fd in (*self.passed, *self.kept):
            os.close(fd)
        self.passed.clear()
        self.kept.clear()


def inherited_namespaces(config: Config, descriptors: Descriptors) -> list[dict[str, str | int]]:
    """The joined network and pid namespaces, which were left out of the images.  Raises SyscallError."""
    entries: list[dict[str, str | int]] = []
    for namespace in config.namespaces:
        if namespace.path and namespace.type in EXTERNAL_NAMESPACES:
            try:
                fd = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise SyscallError.of(f"open the {namespace.type} namespace", namespace.path, error) from None
            entries.append({"key": EXTERNAL_NAMESPACES[namespace.type], "fd": descriptors.give(fd)})
    return entries


def namespaces_to_join(config: Config) -> list[dict[str, str]]:
    """The other joined namespaces.  Raises CriuError for a type that CRIU cannot join."""
    entries = []
    for namespace in config.namespaces:
        if not namespace.path or namespace.type in EXTERNAL_NAMESPACES:
            continue
        if namespace.type in ("cgroup", "time"):
            raise CriuError(f"CRIU cannot restore into a {namespace.type} namespace that is there")
        entries.append({"ns": namespace.type, "ns_file": namespace.path})
    return entries


def inherited_streams(images: Directory, process: Process, descriptors: Descriptors) -> list[dict[str, str | int]]:
    """What init had as fds 0 to 2 from its caller is replaced by what this caller gives.

    Raises CriuError when descriptors.json is missing or damaged, SyscallError.
    """
    names = images.read(DESCRIPTORS_FILE)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CriuError(f"{os.path.join(images.path, DESCRIPTORS_FILE)} is missing, or no list of names")
    entries: dict[str, dict[str, str | int]] = {}
    for name, fd in zip(names, (process.stdin, process.stdout, process.stderr), strict=False):
        if name.startswith(_REPLACED) and name not in entries:
            entries[name] = {"key": name, "fd": descriptors.give(os.dup(fd))}
    return list(entries.values())


def veth_pairs(config: Config, options: CriuOptions) -> list[str]:
    """The veth pairs that CRIU makes: those of the images, where it restores network devices at all."""
    if options.empty_namespaces & NAMESPACE_FLAGS["net"]:
        return []
    pairs = [
        f"veth[{network.name}]:{network.host_name}{f'@{network.bridge}' if network.bridge else ''}"
        for network in config.networks
        if network.type == "veth"
    ]
    return pairs + [f"veth[{pair.container_name}]:{pair.host_name}" for pair in options.veth_pairs]


def cgroup_roots(pid: int, paths: dict[str, str]) -> list[dict[str, str]]:
    """Where CRIU puts the container's cgroups, by hierarchy: where it is itself.  cgroups(7), /proc/PID/cgroup.

    `paths`: of state.json.  A hierarchy that it does not name is not the container's.
    """
    roots = []
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read().splitlines():
            _number, controllers, path = line.split(":", 2)
            roots += [{"ctrl": name, "path": path} for name in controllers.split(",") if name in paths]
    return roots
