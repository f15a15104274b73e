"""Driver `qemu`: KVM where it really works, software emulation otherwise."""

from __future__ import annotations

from typing import Any

from seatrial.vm.machine import Pool


def pool(**options: Any) -> Pool:
    """A pool of QEMU machines; options as for vm.qemu.pool.QemuPool."""
    from seatrial.vm.qemu.pool import QemuPool

    return QemuPool(**options)
