"""Layers: read-only images that a machine's root is stacked from, each named by a digest of what it is made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seatrial.vm import cache
from seatrial.vm.image import erofs
from seatrial.vm.kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Layer:
    """`path` is the erofs image; `digest` names its content."""

    name: str
    path: str
    digest: str


def build(name: str, digest: str, fill: Callable[[str], None], *, clamp: bool = False) -> Layer:
    """The layer of that digest: from the cache, or made from the directory that `fill` fills; `clamp` as of
    erofs.pack()."""
    place = cache.place("layers", f"{name}-{digest}")
    with cache.building(place) as work:
        if work is not None:
            tree = os.path.join(work, "tree")
            os.mkdir(tree, 0o755)
            fill(tree)
            erofs.pack(tree, os.path.join(work, "image"), clamp=clamp)
            shutil.rmtree(tree)
    return Layer(name, os.path.join(place, "image"), digest)


def of_modules(kernel: Kernel) -> Layer:
    """The kernel's modules, where modprobe looks for them."""

    def fill(tree: str) -> None:
        target = os.path.join(tree, "usr/lib/modules", kernel.release)
        os.makedirs(os.path.dirname(target))
        left_out = shutil.ignore_patterns("build", "source")  # links to headers
        shutil.copytree(kernel.modules, target, symlinks=True, ignore=left_out)

    return build("modules", kernel.digest, fill, clamp=True)


def of_trees(name: str, trees: Mapping[str, str]) -> Layer:
    """A layer that holds copies of host files and directories: target path in the machine -> source path."""
    parts = [name]
    for target, source in sorted(trees.items()):
        parts += [target, _tree_digest(source)]

    return build(name, cache.digest(*parts), lambda tree: copy_trees(tree, trees))


def copy_trees(tree: str, trees: Mapping[str, str]) -> None:
    """Copy host files and directories below the directory `tree`: target path in the machine -> source path."""
    for target, source in trees.items():
        place = os.path.join(tree, target.lstrip("/"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=LEFT_OUT)
        else:
            shutil.copy2(source, place)


LEFT_OUT = shutil.ignore_patterns("*.o", "build", ".*")
NOT_CONTENT = "__pycache__"  # copied, so that the machine need not compile, but not a part of what the layer is


def _tree_digest(source: str) -> str:
    if os.path.isfile(source):
        return cache.file_digest(source)
    parts = []
    for directory, folders, files in os.walk(source):
        skipped = LEFT_OUT(directory, [*folders, *files]) | {NOT_CONTENT}
        folders[:] = sorted(set(folders) - skipped)
        for name in sorted(set(files) - skipped):
            path = os.path.join(directory, name)
            content = os.readlink(path) if os.path.islink(path) else cache.file_digest(path)
            parts += [os.path.relpath(path, source), f"{os.lstat(path).st_mode:o}", content]
    return cache.digest(*parts)
