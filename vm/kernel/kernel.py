"""A kernel that can be booted: its image and its modules, unpacked in the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass

from seatrial.vm import cache, programs
from seatrial.vm.errors import BlueprintError, InfrastructureError
from seatrial.vm.kernel import modules
from seatrial.vm.kernel.archive import Archive, Package
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.kernel.name import KernelName, order, parse


@dataclass(frozen=True, slots=True)
class Kernel:
    """`image` is a bzImage; `modules` the lib/modules/RELEASE that goes with it; `digest` names both; `packages` are
    (name, version, sha256) of where they came from."""

    name: str
    release: str
    image: str
    modules: str
    digest: str
    packages: tuple[tuple[str, str, str], ...] = ()


def resolve(text: str, lock: Lock | None = None, archive: Archive | None = None) -> Kernel:
    """The kernel of that name, fetched and unpacked unless the cache has it.

    A `lock` pins packages: what it has is taken, what it lacks is added to it.  BlueprintError for a name that makes no
    sense, InfrastructureError when the packages cannot be had.
    """
    name = parse(text)
    if name.path:
        return _from_path(name)
    pinned = lock.packages(str(name)) if lock is not None else ()
    known = tuple(Package(entry[0], entry[1], entry[2], 0, ()) for entry in pinned)
    if known and os.path.exists(_place(known)):
        return _read(_place(known), str(name))
    archive = archive or Archive()
    archive.refresh()
    if not pinned and (place := archive.recall(str(name))) and os.path.exists(place):
        kernel = _read(place, str(name))
        if lock is not None:
            lock.pin(str(name), kernel.packages)
        return kernel
    packages = [archive.package(entry[0], entry[1]) for entry in pinned] or _choose(name, archive)
    for package, entry in zip(packages, pinned, strict=False):
        if package.sha256 != entry[2]:
            raise InfrastructureError(f"{package.name} {package.version}: another digest than the lock file has")
    kernel = _unpack(str(name), packages, archive)
    if not pinned:
        archive.remember(str(name), os.path.dirname(kernel.image))
        if lock is not None:
            lock.pin(str(name), kernel.packages)
    return kernel


def available(archive: Archive | None = None) -> dict[str, str]:
    """Names that can be asked for, each with the newest package that has it."""
    archive = archive or Archive()
    archive.refresh()
    found: dict[str, str] = {}
    for package in sorted(archive.names(r"linux-image-\d+\.\d+.*amd64"), key=order):
        version = re.match(r"linux-image-(\d+\.\d+)", package)
        if version is None or package.endswith(("-dbg", "-unsigned")) or "-rt-" in package:
            continue
        flavour = "-cloud" if package.endswith("-cloud-amd64") else ""
        found[f"debian:{version.group(1)}{flavour}"] = package
    return found


def _choose(name: KernelName, archive: Archive) -> list[Package]:
    fitting = sorted(archive.names(name.pattern), key=order)
    if not fitting:
        have = sorted(available(archive), key=order)
        raise BlueprintError(f"no package of kernel {name}: the mirror has {', '.join(have)}")
    image = archive.package(fitting[-1])
    release = image.name.removeprefix("linux-image-")
    # Since 7.x the image and the modules are packages of their own.
    parts = [dep for dep in image.depends if dep in (f"linux-binary-{release}", f"linux-modules-{release}")]
    return [image, *(archive.package(dep) for dep in parts)]


def _place(packages: list[Package] | tuple[Package, ...]) -> str:
    return cache.place("kernels", cache.digest(*(package.sha256 for package in packages)))


def _unpack(name: str, packages: list[Package], archive: Archive) -> Kernel:
    place = _place(packages)
    with cache.building(place) as work:
        if work is not None:
            for package in packages:
                tree = os.path.join(work, "tree")
                programs.run(["dpkg-deb", "-x", archive.download(package), tree], f"cannot unpack {package.name}")
            release = packages[0].name.removeprefix("linux-image-")
            _settle(work, os.path.join(work, "tree"), release)
            described = {"release": release, "packages": [[one.name, one.version, one.sha256] for one in packages]}
            with open(os.path.join(work, "kernel.json"), "w", encoding="utf-8") as file:
                json.dump(described, file)
    return _read(place, name)


def _settle(work: str, tree: str, release: str) -> None:
    """image and lib/modules/RELEASE from an unpacked package; the rest goes."""
    for path in (f"boot/vmlinuz-{release}", f"usr/lib/modules/{release}/vmlinuz"):
        if os.path.isfile(os.path.join(tree, path)):
            shutil.move(os.path.join(tree, path), os.path.join(work, "image"))
            break
    else:
        raise InfrastructureError(f"no vmlinuz-{release} in the package")
    for path in (f"lib/modules/{release}", f"usr/lib/modules/{release}"):
        if os.path.isdir(os.path.join(tree, path, "kernel")):
            os.makedirs(os.path.join(work, "lib/modules"))
            shutil.move(os.path.join(tree, path), os.path.join(work, "lib/modules", release))
            break
    else:
        raise InfrastructureError(f"no modules of {release} in the package")
    shutil.rmtree(tree)
    modules.depmod(work, release)


def _read(place: str, name: str) -> Kernel:
    with open(os.path.join(place, "kernel.json"), encoding="utf-8") as file:
        described = json.load(file)
    release = described["release"]
    packages = tuple((entry[0], entry[1], entry[2]) for entry in described["packages"])
    paths = os.path.join(place, "image"), os.path.join(place, "lib/modules", release)
    return Kernel(name, release, *paths, os.path.basename(place), packages)


def _from_path(name: KernelName) -> Kernel:
    release = release_of(name.path)
    directory = os.path.join("/lib/modules", release)
    beside = os.path.join(os.path.dirname(name.path), "lib/modules", release)
    found = next((path for path in (beside, directory) if os.path.isfile(os.path.join(path, "modules.dep"))), None)
    if found is None:
        raise BlueprintError(f"kernel {name}: no modules of {release} in {directory} nor in {beside}")
    index = os.path.join(found, "modules.dep")  # made anew whenever modules are installed
    parts = cache.file_digest(name.path), found, cache.file_digest(index), str(os.stat(index).st_mtime_ns)
    return Kernel(str(name), release, name.path, found, cache.digest(*parts))


def release_of(path: str) -> str:
    """The release (`uname -r`) in the header of a bzImage (x86 boot protocol: offset 0x20e); BlueprintError when the
    file is none."""
    with open(path, "rb") as file:
        head = file.read(0x10000)
    offset = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    found = re.match(rb"[\w.+~-]+", head[offset : offset + 128])
    if head[0x202:0x206] != b"HdrS" or found is None:
        raise BlueprintError(f"{path} is not a bzImage")
    return found.group().decode("ascii")
