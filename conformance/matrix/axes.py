"""The axes of a matrix and its cells: kernels x cgroup modes x masks x runtimes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from seatrial.conformance.engine.session import resolve_runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.mask.names import resolve
from seatrial.vm.errors import BlueprintError
from seatrial.vm.kernel.name import parse
from seatrial.vm.machine import CGROUP_MODES

REFERENCE = "seatrial-runtime"  # the reference runtime's name in a machine
NO_MASK = "none"


@dataclass(frozen=True, slots=True)
class Cell:
    """One environment: `kernel` as a name for vm, `cgroup` a mode of vm, `mask` a name, several joined by `+`, or
    `none`; `runtime` a name in the machine's image or an absolute path of this host."""

    kernel: str
    cgroup: str
    mask: str
    runtime: str

    @property
    def masks(self) -> tuple[str, ...]:
        """The masks to apply."""
        return () if self.mask == NO_MASK else tuple(self.mask.split("+"))

    @property
    def label(self) -> str:
        """The cell for people: `6.1 v2 no-clone3 runc`."""
        words = [
            self.kernel,
            self.cgroup,
            *([] if self.mask == NO_MASK else [self.mask]),
            os.path.basename(self.runtime),
        ]
        return " ".join(words)


def words(given: Sequence[str], default: str) -> tuple[str, ...]:
    """The words of options that may be repeated and may have commas in them, each once."""
    found = dict.fromkeys(word.strip() for text in given or [default] for word in text.split(","))
    if "" in found:
        raise EnvironmentProblem(f"{','.join(given)}: an empty word between the commas")
    return tuple(found)


def cells(kernels: Iterable[str], cgroups: Iterable[str], masks: Iterable[str], runtimes: Iterable[str]) -> list[Cell]:
    """All cells, those of one machine next to each other; EnvironmentProblem for an unknown mode, mask or runtime."""
    kernels, cgroups, masks = tuple(kernels), tuple(cgroups), tuple(masks)
    for mode in cgroups:
        if mode not in CGROUP_MODES:
            raise EnvironmentProblem(f"--cgroup {mode}: one of {', '.join(CGROUP_MODES)}")
    for kernel in kernels:
        release = _release(kernel)
        for name in (name for mask in masks if mask != NO_MASK for name in mask.split("+")):
            resolve(name, release)
    found = [Cell(*four) for four in product(kernels, cgroups, masks, map(runtime, runtimes))]
    return list(dict.fromkeys(found))


def _release(kernel: str) -> str:
    """The release that a kernel's name tells, as far as masks ask for it; EnvironmentProblem for what is no name."""
    try:
        found = parse(kernel)
    except BlueprintError as error:
        raise EnvironmentProblem(str(error)) from error
    return found.version or os.path.basename(found.path).removeprefix("vmlinuz-")


def runtime(name: str) -> str:
    """A runtime as a cell has it: a name in the image as it is, a path made absolute; EnvironmentProblem when no such
    file is there."""
    if name in ("reference", ""):
        return REFERENCE
    if os.sep not in name:
        return name
    path = resolve_runtime(name)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def slug(cell: Cell, cells: Sequence[Cell]) -> str:
    """A file name for a cell, different from those of the other cells."""

    def plain(one: Cell) -> str:
        text = one.label.replace(" ", "-")
        return "".join(char if char.isalnum() or char in "-._+" else "_" for char in text)

    same = [one for one in cells if plain(one) == plain(cell)]
    return plain(cell) if len(same) == 1 else f"{plain(cell)}-{same.index(cell) + 1}"
