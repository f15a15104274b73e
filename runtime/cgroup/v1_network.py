"""linux.resources.network on cgroup v1: net_cls and net_prio.  Documentation: cgroup-v1/net_cls.rst, net_prio.rst

Version 2 has neither: there, packets are told apart by the cgroup's path (iptables-extensions(8), cgroup).
"""

from __future__ import annotations

from seatrial.runtime.cgroup.files import read_or

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.v1 import CgroupV1
    from seatrial.runtime.config import Resources


def apply_network(cgroup: CgroupV1, resources: Resources) -> None:
    """Write the members that are given.  SeatrialError where the host lacks the controller, SyscallError."""
    if resources.net_class_id is not None:
        cgroup.put(cgroup.directory("net_cls"), "net_cls.classid", resources.net_class_id)
    for entry in resources.net_priorities:
        directory = cgroup.directory("net_prio")
        back = None
        if cgroup.undo is not None:
            lines = read_or(directory, "net_prio.ifpriomap", "").splitlines()
            back = [line for line in lines if line.split()[0] == entry.name]
        hint = f"is there an interface {entry.name} in the runtime's network namespace?"
        cgroup.put(directory, "net_prio.ifpriomap", f"{entry.name} {entry.priority}", hint, back)
