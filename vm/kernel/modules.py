"""Kernel modules: which of them a boot needs, in the order in which they must be loaded."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Sequence

from seatrial.vm import programs
from seatrial.vm.errors import InfrastructureError

SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


def load_order(directory: str, wanted: Sequence[str]) -> list[str]:
    """Paths below `directory` (a lib/modules/RELEASE that depmod has seen) of these modules and of what they need,
    the needed ones first.  Names that are built in, or that the kernel does not have, are left out."""
    needed: dict[str, list[str]] = {}
    with open(os.path.join(directory, "modules.dep"), encoding="ascii") as file:
        for line in file:
            path, _, rest = line.partition(":")
            needed[path] = rest.split()
    by_name = {name_of(path): path for path in needed}
    found: list[str] = []

    def add(path: str) -> None:
        if path not in found:
            for other in reversed(needed[path]):
                add(other)
            found.append(path)

    for name in wanted:
        if name in by_name:
            add(by_name[name])
    return found


def name_of(path: str) -> str:
    """`virtio_blk` of `kernel/drivers/block/virtio-blk.ko.xz`."""
    name = os.path.basename(path)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace("-", "_")


def read(path: str) -> bytes:
    """A module's object file, uncompressed."""
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return _zstd(path)
    return data


def depmod(base: str, release: str) -> None:
    """Make modules.dep of base/lib/modules/RELEASE."""
    programs.run(["depmod", "-b", base, release], f"cannot index the modules of {release}")


def _zstd(path: str) -> bytes:
    if shutil.which("zstd") is None:
        raise InfrastructureError(f"{path} is compressed with zstd: install the package zstd")
    return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
