"""The QEMU driver: resolves a blueprint to files, boots it, keeps a warm template of it and clones that."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.vm import cache
from seatrial.vm.image import base, initramfs, layer
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.machine import Blueprint, Pool
from seatrial.vm.qemu import accelerator, template
from seatrial.vm.qemu.machine import BOOT_TIMEOUT, QemuMachine
from seatrial.vm.qemu.spare import Spare

# What a template runs before it is taken: what clones run first lies in memory then, and need not be read.
WARM_UP = ("/bin/sh", "-c", "/bin/true; /bin/cat /dev/null; python3 -c pass; runc --version; crun --version")
KEPT = 4 << 30  # bytes of templates that are kept in the cache
LIMIT = "SEATRIAL_VM_TEMPLATES"  # the environment variable that sets another limit, in MiB


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
    """Machines of this host's QEMU.

    With `templates`, the second machine of a blueprint is a clone of a warm one.  Templates live as long as the pool;
    with `keep` they are those of the cache, which other processes made or will use.  With `spare` the next clone of
    the same blueprint is made ready meanwhile, which takes the memory of one machine more.
    """

    def __init__(
        self,
        *,
        templates: bool = True,
        keep: bool = False,
        spare: bool = False,
        lock: Lock | None = None,
        accelerated: str | None = None,
    ) -> None:
        self.templates = templates
        self.keep = keep
        self.lock = lock
        self.accelerated = accelerated
        self._directory: str | None = None
        self._parts: dict[str, Parts] = {}
        self._spare = Spare() if spare else None

    def boot(self, blueprint: Blueprint) -> QemuMachine:
        found = self._find(blueprint)
        drive = self._drive(blueprint, found)
        if not (self.templates and blueprint.snapshot):
            return self._start(blueprint, found, drive)
        place = self._template(blueprint, found, drive)

        def clone() -> QemuMachine:
            with cache.locked(place, fcntl.LOCK_SH):
                return template.clone(place, blueprint, drive)

        if self._spare is None:
            return clone()
        machine = self._spare.take(place) or clone()
        self._spare.prepare(place, clone)
        return machine

    def cold(self, blueprint: Blueprint) -> QemuMachine:
        """A machine that boots, whatever templates there are."""
        found = self._find(blueprint)
        return self._start(blueprint, found, self._drive(blueprint, found))

    def prepare(self, blueprint: Blueprint) -> list[str]:
        found = self._find(blueprint)
        lines = [f"kernel     {found.kernel.release}  {found.kernel.image}"]
        lines += [f"           {name} {version} sha256:{digest}" for name, version, digest in found.kernel.packages]
        lines += [f"initramfs  {found.initramfs}"]
        lines += [f"layer      {one.name} {one.digest}  {one.path}" for one in found.layers]
        if self.templates and blueprint.snapshot:
            lines += [f"template   {self._template(blueprint, found, self._drive(blueprint, found))}"]
        return lines

    def close(self) -> None:
        if self._spare is not None:
            self._spare.close()
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
        """A machine that boots; one with its memory in the file `ram` is to become a template."""
        machine = QemuMachine(blueprint, self._facts(blueprint, found, drive))
        try:
            machine.launch(**drive, ram=ram, share=ram is not None)
            machine.attach(BOOT_TIMEOUT, warm=False)
            machine.set_up(warm=ram is not None)
        except BaseException:
            machine.close()
            raise
        return machine

    def _template(self, blueprint: Blueprint, found: Parts, drive: Mapping[str, object]) -> str:
        """The directory of the blueprint's template, which is made when it is missing."""
        name = f"machine-{template.key(found.digest, drive, blueprint)}"
        place = cache.place("snapshots", name) if self.keep else os.path.join(self._room(blueprint.memory), name)
        with cache.building(place) as work:
            if work is None:
                return place
            with (
                template.memory(work, blueprint.memory) as ram,
                self._start(blueprint, found, drive, ram) as machine,
            ):
                assert isinstance(machine, QemuMachine)
                machine.run(WARM_UP)
                template.save(machine, work)
        if self.keep:
            cache.keep_within("snapshots", int(os.environ.get(LIMIT) or KEPT >> 20) << 20, spared=name)
        return place

    def _room(self, mebibytes: int) -> str:
        """Where the templates of this pool lie: in memory where there is room, since clones run on their pages."""
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix=template.PREFIX, dir=template.room(mebibytes))
            cache.mark(self._directory)
        return self._directory
