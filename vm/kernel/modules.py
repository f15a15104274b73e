"""Kernel modules: which of them a boot needs, in the order in which they must be loaded."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from seatrial.vm import programs
from seatrial.vm.errors import InfrastructureError

SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


def load_order(directory: str, wanted: Sequence[str]) -> list[str]:
    """Paths below `directory` (a lib/modules/RELEASE that depmod has seen) of these modules and of what they need,
    the needed ones first: by their symbols, and by `softdep ... pre:` as modprobe(8) reads it, such as the checksum of
    libcrc32c, which fails with ENOENT without.  Names that are built in, or that the kernel does not have, are left
    out."""
    needed: dict[str, list[str]] = {}
    with open(os.path.join(directory, "modules.dep"), encoding="ascii") as file:
        for line in file:
            path, _, rest = line.partition(":")
            needed[path] = rest.split()
    by_name = {name_of(path): path for path in needed}
    before = _softdeps(directory)
    aliases = _aliases(directory, {name for names in before.values() for name in names})
    found: list[str] = []

    def add(name: str) -> None:
        path = by_name.get(name)
        if path is None or path in found:
            return
        for other in reversed(needed[path]):
            add(name_of(other))
        for word in before.get(name, ()):
            for other in aliases.get(word, [word]):
                add(other)
        found.append(path)

    for name in wanted:
        add(name)
    return found


def _softdeps(directory: str) -> dict[str, list[str]]:
    """modules.softdep: what is to be loaded before each module, modprobe.d(5)."""
    found: dict[str, list[str]] = {}
    for words in _lines(directory, "modules.softdep"):
        if words[0] == "softdep" and "pre:" in words:
            names = words[words.index("pre:") + 1 :]
            names = names[: names.index("post:")] if "post:" in names else names
            found.setdefault(words[1].replace("-", "_"), []).extend(name.replace("-", "_") for name in names)
    return found


def _aliases(directory: str, wanted: set[str]) -> dict[str, list[str]]:
    """modules.alias: the modules that these names stand for."""
    found: dict[str, list[str]] = {}
    for words in _lines(directory, "modules.alias"):
        if words[0] == "alias" and (alias := words[1].replace("-", "_")) in wanted:
            found.setdefault(alias, []).append(words[2])
    return found


def _lines(directory: str, name: str) -> Iterator[list[str]]:
    path = os.path.join(directory, name)
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            yield from (line.split() for line in file if line.strip())


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
