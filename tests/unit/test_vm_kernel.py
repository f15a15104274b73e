"""Kernel names, their packages, the lock file, the order of modules, the initramfs."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seatrial.vm.errors import BlueprintError, InfrastructureError
from seatrial.vm.image.initramfs import Cpio
from seatrial.vm.kernel import kernel, modules
from seatrial.vm.kernel.archive import Archive, Package, _parse
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.kernel.name import order, parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("debian:6.1", "debian:6.1"),
        ("debian:5.10-cloud", "debian:5.10-cloud"),
        ("6.12", "debian:6.12-cloud"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert str(parse(text)) == name


@pytest.mark.parametrize("text", ["", "debian", "debian:six", "debian:6.1-rt", "ubuntu:6.8", "path:/no/such/file", "6"])
def test_names_that_make_no_sense(text: str) -> None:
    with pytest.raises(BlueprintError):
        parse(text)


@pytest.mark.parametrize(
    ("name", "package", "fits"),
    [
        ("debian:6.1", "linux-image-6.1.0-50-amd64", True),
        ("debian:6.1", "linux-image-6.1.0-50-cloud-amd64", False),
        ("debian:6.1", "linux-image-6.12.94+deb12-amd64", False),
        ("debian:6.12-cloud", "linux-image-6.12.94+deb12-cloud-amd64", True),
        ("debian:6.12", "linux-image-6.12.94+deb12-amd64-unsigned", False),
        ("debian:7.3-cloud", "linux-image-7.3-cloud-amd64", True),
    ],
)
def test_packages_of_a_name(name: str, package: str, fits: bool) -> None:
    assert bool(re.fullmatch(parse(name).pattern, package)) is fits


def test_newest_package_of_a_series() -> None:
    names = ["linux-image-6.12.107+deb13-amd64", "linux-image-6.12.94+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64"]
    assert max(names, key=order) == names[0]


def test_stanza_of_a_package_list() -> None:
    stanza = (
        "Package: linux-image-x\nVersion: 7.2-1\nDepends: kmod, linux-binary-x (= 7.2-1) | other\n"
        f"Size: 12\nSHA256: {'a' * 64}\nDescription: text\n Depends: not this"
    )
    assert _parse(stanza) == Package("linux-image-x", "7.2-1", "a" * 64, 12, ("kmod", "linux-binary-x"))


def test_lock_keeps_what_was_pinned(tmp_path: Path) -> None:
    path = str(tmp_path / "seatrial-vm.lock")
    packages = (("linux-image-6.1.0-1-amd64", "6.1.1-1", "0" * 64),)
    Lock(path).pin("debian:6.1", packages)
    again = Lock(path)
    assert again.packages("debian:6.1") == packages
    assert again.packages("debian:5.10") == ()


@pytest.mark.parametrize(
    "text", ["[kernel", '[kernel."x"]\npackages = []', '[kernel."x"]\npackages = [["a", "b", "c"]]']
)
def test_malformed_lock_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.lock"
    path.write_text(text)
    with pytest.raises(BlueprintError, match=re.escape(str(path))):
        Lock(str(path))


class Mirror(Archive):
    """An archive of one package, made by dpkg-deb."""

    def __init__(self, directory: str, deb: str, package: Package) -> None:
        super().__init__(directory)
        self.deb, self.offered = deb, package

    def refresh(self, max_age: float = 0) -> None:
        pass

    def names(self, pattern: str) -> list[str]:
        return [self.offered.name] if re.fullmatch(pattern, self.offered.name) else []

    def package(self, name: str, version: str | None = None) -> Package:
        if version not in (None, self.offered.version):
            raise InfrastructureError("the mirror no longer has it")
        return self.offered

    def download(self, package: Package) -> str:
        return self.deb


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    for program in ("dpkg-deb", "depmod"):
        if shutil.which(program, path=os.environ["PATH"] + ":/sbin:/usr/sbin") is None:
            pytest.skip(f"program:{program}: not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    release = "6.1.0-1-cloud-amd64"
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: linux-image-{release}\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: d\n"
    )
    (tree / "boot").mkdir()
    (tree / f"boot/vmlinuz-{release}").write_bytes(b"image")
    (tree / f"lib/modules/{release}/kernel").mkdir(parents=True)
    deb = str(tmp_path / "kernel.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), deb], check=True, capture_output=True)
    package = Package(f"linux-image-{release}", "1", "b" * 64, 1, ())
    return Mirror(str(tmp_path / "apt"), deb, package)


def test_kernel_of_a_package(mirror: Mirror, tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "lock"))
    found = kernel.resolve("6.1", lock, mirror)
    assert found.release == "6.1.0-1-cloud-amd64"
    assert Path(found.image).read_bytes() == b"image"
    assert os.path.isfile(os.path.join(found.modules, "modules.dep"))
    assert lock.packages("debian:6.1-cloud") == found.packages
    assert kernel.resolve("6.1", lock, mirror) == found


def test_pinned_package_that_the_mirror_no_longer_has(mirror: Mirror, tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "lock"))
    lock.pin("debian:6.1-cloud", ((mirror.offered.name, "0", "c" * 64),))
    with pytest.raises(InfrastructureError, match="no longer"):
        kernel.resolve("6.1", lock, mirror)


def test_unknown_version_tells_what_there_is(mirror: Mirror) -> None:
    with pytest.raises(BlueprintError, match=re.escape("debian:6.1-cloud")):
        kernel.resolve("5.4", None, mirror)


def test_file_that_is_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(b"\0" * 4096)
    with pytest.raises(BlueprintError, match="bzImage"):
        kernel.resolve(f"path:{path}")


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/virtio_blk.ko.xz: kernel/virtio.ko kernel/virtio_ring.ko\n"
        "kernel/virtio_ring.ko:\nkernel/virtio.ko: kernel/virtio_ring.ko\nkernel/other.ko:\n"
    )
    found = modules.load_order(str(tmp_path), ["virtio_blk", "not_there"])
    assert found == ["kernel/virtio_ring.ko", "kernel/virtio.ko", "kernel/virtio_blk.ko.xz"]


def test_soft_dependencies_come_before(tmp_path: Path) -> None:
    names = ("libcrc32c", "erofs", "crc32c_generic", "crc32c-intel", "crypto", "late")
    dependencies = {"erofs": " kernel/libcrc32c.ko", "crc32c-intel": " kernel/crypto.ko"}
    lines = [f"kernel/{name}.ko:{dependencies.get(name, '')}\n" for name in names]
    (tmp_path / "modules.dep").write_text("".join(lines))
    (tmp_path / "modules.softdep").write_text("# aliases\nsoftdep libcrc32c pre: crc32c built_in post: late\n")
    (tmp_path / "modules.alias").write_text(
        "# aliases\nalias crc32c crc32c_intel\nalias crc32c crc32c_generic\nalias pci:v0* other\n"
    )
    order = ["crypto", "crc32c-intel", "crc32c_generic", "libcrc32c", "erofs"]
    assert modules.load_order(str(tmp_path), ["erofs"]) == [f"kernel/{name}.ko" for name in order]


def test_compressed_module(tmp_path: Path) -> None:
    path = tmp_path / "a.ko.xz"
    path.write_bytes(lzma.compress(b"object"))
    assert modules.read(str(path)) == b"object"
    assert modules.name_of(str(path)) == "a"


def test_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("program:cpio: not installed")
    cpio = Cpio()
    cpio.add("dir", 0o040755)
    cpio.add("dir/file", 0o100644, b"content")
    cpio.add("dir/link", 0o120777, b"file")
    subprocess.run(["cpio", "-id", "--quiet"], input=cpio.finish(), check=True, cwd=tmp_path)
    assert (tmp_path / "dir/link").read_text() == "content"
