"""Counters of a container's network interfaces, as the container sees them: received is what came in to it.

/proc/PID/net/dev (proc_pid_net(5)) is the host's procfs and shows the network namespace of that process.  No process
has to enter it, and nothing that the container mounts has a say.
"""

from __future__ import annotations

import os

from seatrial.runtime.errors import SyscallError
from seatrial.runtime.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ = 1 << 20  # a line is about 130 bytes


class InterfaceStatistics(Record):
    """Counters since the interface was made: bytes and packets."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


def container_interfaces(config: dict[str, Any], pid: int) -> list[InterfaceStatistics]:
    """The interfaces of a running container but its loopback, if the runtime has put any there; else none.

    `config` is Config.to_json(), as state.json has it; `pid` that of init.  Raises SyscallError.
    """
    if not (config.get("net_devices") or config.get("networks")):
        return []  # whoever else set the network up, a CNI plugin perhaps, has its own figures
    return [found for found in interface_statistics(pid) if found.name != "lo"]


def interface_statistics(pid: int) -> list[InterfaceStatistics]:
    """Every interface in the network namespace of a process.  Raises SyscallError, ESRCH or ENOENT when it is gone."""
    path = f"/proc/{pid}/net/dev"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = b""
            while part := os.read(fd, _READ):
                text += part
        finally:
            os.close(fd)
    except OSError as error:
        raise SyscallError.of("read", path, error, "has the container ended?") from None
    return parse(text.decode())


def parse(text: str) -> list[InterfaceStatistics]:
    """The lines of a net/dev file.  A name has no colon and no blank in it: the kernel refuses those."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        numbers = [int(word) for word in counters.split()]
        found.append(
            InterfaceStatistics(
                name=name.strip(),
                rx_bytes=numbers[0],
                rx_packets=numbers[1],
                rx_errors=numbers[2],
                rx_dropped=numbers[3],
                tx_bytes=numbers[8],
                tx_packets=numbers[9],
                tx_errors=numbers[10],
                tx_dropped=numbers[11],
            )
        )
    return found
