"""The Vagrant driver: an environment for each machine, from a box by name or one that is made for the blueprint."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from seatrial.vm import cache, programs
from seatrial.vm.errors import InfrastructureError, MachineError
from seatrial.vm.image import base, initramfs
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.machine import Blueprint, Machine, Pool
from seatrial.vm.qemu import accelerator
from seatrial.vm.vagrant import box as boxes
from seatrial.vm.vagrant import command
from seatrial.vm.vagrant.environment import Environment, sweep
from seatrial.vm.vagrant.machine import VagrantMachine, VagrantSnapshot

OWN = "seatrial-"  # how the names of our boxes begin


class VagrantPool(Pool):
    """`box` is a name that Vagrant knows, or a path or an address that it can add; without it (and SEATRIAL_BOX) a box
    is made from packages, with the blueprint's kernel.  A box by name boots its own kernel.  With `templates` a machine
    that is closed is kept, and goes back to its snapshot for the next boot of the same blueprint."""

    def __init__(
        self,
        *,
        box: str | None = None,
        provider: str | None = None,
        accelerated: str | None = None,
        templates: bool = True,
        lock: Lock | None = None,
    ) -> None:
        programs.find("vagrant")
        programs.find("ssh")
        self.box = box or os.environ.get("SEATRIAL_BOX") or None
        self.provider = provider or os.environ.get("SEATRIAL_PROVIDER") or "libvirt"
        self.accelerated = accelerated or os.environ.get("SEATRIAL_ACCELERATOR") or None
        self.templates = templates
        self.lock = lock
        self._snapshots: dict[str, list[VagrantSnapshot]] = {}
        self._boxes: dict[str, str] = {}
        sweep()

    def boot(self, blueprint: Blueprint) -> Machine:
        wanted = repr(blueprint)
        for snapshot in self._snapshots.get(wanted, ()):
            if snapshot.idle:
                return snapshot.clone()
        machine = self._start(blueprint)
        if self.templates and blueprint.snapshot:
            try:
                self._snapshots.setdefault(wanted, []).append(VagrantSnapshot(machine))
            except BaseException:
                machine.close()
                raise
        return machine

    def prepare(self, blueprint: Blueprint) -> Sequence[str]:
        return [f"box        {self._box(blueprint)}"]

    def close(self) -> None:
        for snapshots in self._snapshots.values():
            for snapshot in snapshots:
                snapshot.close()
        self._snapshots.clear()

    def _start(self, blueprint: Blueprint) -> VagrantMachine:
        box = self._box(blueprint)
        own = box.startswith(OWN)
        accel = self._accelerator(blueprint)
        parameters = {"box": box, "memory": str(blueprint.memory), "cpus": str(blueprint.cpus), "accelerator": accel}
        if own:
            parameters["cgroup"] = blueprint.cgroup
        facts: dict[str, Any] = {
            "provider": self.provider,
            "accelerator": accel if self.provider == "libvirt" else self.provider,
            "kernel": blueprint.kernel if own and self.box is None else "the box's",
            "cgroup": blueprint.cgroup,
            "box": box,
        }
        environment = Environment(self.provider, parameters)
        machine = VagrantMachine(blueprint, environment, facts)
        try:
            environment.up()
            machine.attach()
            self._settle_mode(machine)
            machine.lay()
            machine.set_up(warm=self.templates and blueprint.snapshot)
        except BaseException:
            with contextlib.suppress(MachineError):  # the first error tells more
                machine.close()
            raise
        return machine

    def _settle_mode(self, machine: VagrantMachine) -> None:
        """A box that knows nothing of modes is told by its provisioner, and boots again."""
        wanted = machine.blueprint.cgroup
        if machine.cgroup_mode() == wanted:
            return
        machine.detach()
        machine.environment.provision(cgroup=wanted)
        machine.attach()
        found = machine.cgroup_mode()
        if found != wanted:
            raise InfrastructureError(f"the box {machine.facts['box']} comes up with cgroup {found}, not {wanted}")

    def _box(self, blueprint: Blueprint) -> str:
        """The name of a box that Vagrant has."""
        if self.box is not None and not os.path.exists(self.box):
            return self.box
        key = repr((blueprint.image, blueprint.kernel))
        if key not in self._boxes:
            if self.box is None:
                # The mode is told at boot: one box does for all three.
                name, path = boxes.build(dataclasses.replace(blueprint, cgroup="v2"), self.lock)
            else:
                name, path = f"{OWN}file-{cache.file_digest(self.box)[:16]}", os.path.abspath(self.box)
            if name not in known():
                with tempfile.TemporaryDirectory(prefix="seatrial-box-") as directory:
                    command.run(["box", "add", "--name", name, path], cwd=directory, what=f"vagrant box add {path}")
            self._boxes[key] = name
        return self._boxes[key]

    def _accelerator(self, blueprint: Blueprint) -> str:
        """KVM only where a trial boot proves it, as for the driver qemu."""
        if self.accelerated or not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return self.accelerated or accelerator.TCG
        kernel = kernels.resolve(blueprint.kernel, self.lock)
        return accelerator.choose(kernel.image, initramfs.build(kernel, base.busybox(base.build(blueprint.image))))


def known() -> set[str]:
    """Names of the boxes that Vagrant has."""
    with tempfile.TemporaryDirectory(prefix="seatrial-box-") as directory:
        return {fields[0] for fields in command.run(["box", "list"], cwd=directory).fields("box-name")}
