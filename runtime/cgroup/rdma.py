"""linux.resources.rdma, on both versions.  Documentation/admin-guide/cgroup-v1/rdma.rst (Linux 4.11)"""

from __future__ import annotations

from seatrial.runtime.cgroup.files import read_or

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.config import RdmaLimit


def apply_rdma(cgroup: Cgroup, directory: str, limits: dict[str, RdmaLimit]) -> None:
    """Write one line a device; what a line does not name stays.  SyscallError: for a device that is not there, too."""
    for device, limit in limits.items():
        words = [device]
        if limit.hca_handles is not None:
            words.append(f"hca_handle={limit.hca_handles}")
        if limit.hca_objects is not None:
            words.append(f"hca_object={limit.hca_objects}")
        back = None
        if cgroup.undo is not None:
            lines = read_or(directory, "rdma.max", "").splitlines()
            back = [line for line in lines if line.split()[0] == device]
        hint = f"is there an RDMA device {device}, and does the cgroup have the rdma controller?"
        cgroup.put(directory, "rdma.max", " ".join(words), hint, back)
