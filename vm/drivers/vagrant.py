"""Driver `vagrant`: machines of Vagrant's providers, from public boxes or from one made of packages."""

from __future__ import annotations

from typing import Any

from seatrial.vm.machine import Pool


def pool(**options: Any) -> Pool:
    """A pool of Vagrant machines; options as for vm.vagrant.pool.VagrantPool."""
    from seatrial.vm.vagrant.pool import VagrantPool

    return VagrantPool(**options)
