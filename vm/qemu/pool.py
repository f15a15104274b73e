"""The QEMU driver: resolves a blueprint to files, boots it, keeps a warm template of it and clones that."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.vm import cache
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.image import base, initramfs, layer
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.machine import Blueprint, Pool
from seatrial.vm.qemu import accelerator
from seatrial.vm.qemu.machine import BOOT_TIMEOUT, QemuMachine
from seatrial.vm.qemu.qmp import QmpError

CLONE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A blueprint's files."""

    kernel: kernels.Kernel
    initramfs: str
    layers: tuple[layer.Layer, ...]

    @property
    def digest(self) -> str:
        """Names the content of a machine before it starts."""
        return cache.digest(self.kernel.digest, self.initramfs, *(one.digest for one in self.layers))


def parts(blueprint: Blueprint, lock: Lock | None = None) -> Parts:
    """The files of a blueprint: from the cache, or made."""
    kernel = kernels.resolve(blueprint.kernel, lock)
    root = base.build(blueprint.image)
    further = [layer.of_trees(name, trees) for name, trees in blueprint.layers.items()]
    return Parts(kernel, initramfs.build(kernel, base.busybox(root)), (root, layer.of_modules(kernel), *further))


class QemuPool(Pool):
    """Machines of this host's QEMU.  With `templates`, the second machine of a blueprint is a clone of a warm one;
    templates live as long as the pool."""

    def __init__(self, *, templates: bool = True, lock: Lock | None = None, accelerated: str | None = None) -> None:
        self.templates = templates
        self.lock = lock
        self.accelerated = accelerated
        self._directory: str | None = None
        self._made: dict[str, Mapping[str, object]] = {}
        self._parts: dict[str, Parts] = {}

    def boot(self, blueprint: Blueprint) -> QemuMachine:
        found = self._find(blueprint)
        drive = self._drive(blueprint, found)
        if not (self.templates and blueprint.snapshot):
            return self._start(blueprint, found, drive)
        name = cache.digest(found.digest, repr(sorted(drive.items())), blueprint.setup)
        template = os.path.join(self._room(), name)
        if name not in self._made:
            self._made[name] = self._make_template(blueprint, found, drive, template)
        return self._clone(blueprint, found, drive, template, self._made[name])

    def cold(self, blueprint: Blueprint) -> QemuMachine:
        """A machine that boots, whatever templates there are."""
        found = self._find(blueprint)
        return self._start(blueprint, found, self._drive(blueprint, found))

    def close(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _find(self, blueprint: Blueprint) -> Parts:
        """The blueprint's files, looked for once: to hash every layer for each clone takes longer than the clone."""
        key = repr(blueprint)
        if key not in self._parts:
            self._parts[key] = parts(blueprint, self.lock)
        return self._parts[key]

    def _drive(self, blueprint: Blueprint, found: Parts) -> dict[str, object]:
        accel = self.accelerated or accelerator.choose(found.kernel.image, found.initramfs)
        return {
            "kernel": found.kernel.image,
            "initramfs": found.initramfs,
            "layers": tuple(one.path for one in found.layers),
            "cgroup": blueprint.cgroup,
            "memory": blueprint.memory,
            "cpus": blueprint.cpus,
            "accelerator": accel,
            "append": blueprint.append,
        }

    def _facts(self, blueprint: Blueprint, found: Parts, drive: Mapping[str, object]) -> dict[str, object]:
        return {
            "accelerator": drive["accelerator"],
            "kernel": found.kernel.name,
            "release": found.kernel.release,
            "cgroup": blueprint.cgroup,
            "image": {one.name: one.digest for one in found.layers},
        }

    def _start(
        self, blueprint: Blueprint, found: Parts, drive: Mapping[str, object], ram: str | None = None
    ) -> QemuMachine:
        machine = QemuMachine(blueprint, self._facts(blueprint, found, drive))
        try:
            machine.launch(**drive, ram=ram, share=ram is not None)
            machine.attach(BOOT_TIMEOUT, warm=False)
            machine.set_up()
        except BaseException:
            machine.close()
            raise
        return machine

    def _make_template(
        self, blueprint: Blueprint, found: Parts, drive: Mapping[str, object], template: str
    ) -> Mapping[str, object]:
        with self._start(blueprint, found, drive, template + ".ram") as machine:
            assert isinstance(machine, QemuMachine)
            control = machine.control()
            control.save(template + ".state")
            control.close()
            return machine.facts

    def _clone(
        self,
        blueprint: Blueprint,
        found: Parts,
        drive: Mapping[str, object],
        template: str,
        facts: Mapping[str, object],
    ) -> QemuMachine:
        machine = QemuMachine(blueprint, {**facts, "clone": True})
        try:
            machine.launch(**drive, ram=template + ".ram", incoming=True)
            control = machine.control()
            control.load(template + ".state")
            control.close()
            machine.attach(CLONE_TIMEOUT, warm=True)
        except QmpError as error:
            machine.close()
            raise InfrastructureError(f"cannot clone a machine: {error}") from error
        except BaseException:
            machine.close()
            raise
        return machine

    def _room(self) -> str:
        """Where templates lie: in memory where there is room, since their pages are what clones run on."""
        if self._directory is None:
            place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            self._directory = tempfile.mkdtemp(prefix="seatrial-templates-", dir=place)
            cache.mark(self._directory)
        return self._directory
