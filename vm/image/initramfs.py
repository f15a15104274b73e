"""The initramfs: busybox, the modules that lead to the root, the guest's first program and its agent."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from seatrial.vm import cache
from seatrial.vm.kernel import modules
from seatrial.vm.kernel.kernel import Kernel

FORMAT = "2"  # of this recipe, modules.load_order() among it: a change makes new ones
ROOT_MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "erofs", "overlay", "virtio_console", "virtio_rng")
APPLETS = ("sh", "ln", "mount", "insmod", "switch_root", "mkdir", "cat", "cp", "poweroff", "sleep")
GUEST = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest")


class Cpio:
    """An archive in the `newc` format of cpio(5), as the kernel unpacks it (initramfs buffer format)."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._inode = 0

    def add(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        """Append a file: a directory, a symbolic link (its target as content), a device or a regular file."""
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._pad()
        self.data += content
        self._pad()

    def finish(self) -> bytes:
        """The whole archive."""
        self.add("TRAILER!!!", 0)
        return bytes(self.data)

    def _pad(self) -> None:
        self.data += b"\0" * (-len(self.data) % 4)


def build(kernel: Kernel, busybox: str) -> str:
    """The path of the initramfs for a kernel; from the cache, or made.  It is not compressed: that costs the guest
    more than it saves."""
    guest = {"init": os.path.join(GUEST, "init"), "guest/agent.py": os.path.join(GUEST, "agent.py")}
    digest = cache.digest(FORMAT, kernel.digest, *(cache.file_digest(path) for path in (busybox, *guest.values())))
    place = cache.place("layers", f"initramfs-{digest}")
    with cache.building(place) as work:
        if work is not None:
            with open(os.path.join(work, "image"), "wb") as file:
                file.write(archive(kernel, busybox, guest))
    return os.path.join(place, "image")


def archive(kernel: Kernel, busybox: str, guest: Mapping[str, str], wanted: Sequence[str] = ROOT_MODULES) -> bytes:
    """The initramfs itself: busybox, the `wanted` modules with what they depend on, and the files of `guest` (path in
    the archive -> path here), of which `init` is the first program."""
    cpio = Cpio()
    for name in ("bin", "dev", "proc", "sys", "modules", "layers", "upper", "root", "guest"):
        cpio.add(name, stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    with open(busybox, "rb") as file:
        cpio.add("bin/busybox", stat.S_IFREG | 0o755, file.read())
    for applet in APPLETS:
        cpio.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
    order = modules.load_order(kernel.modules, wanted)
    for path in order:
        content = modules.read(os.path.join(kernel.modules, path))
        cpio.add(f"modules/{modules.name_of(path)}.ko", stat.S_IFREG | 0o644, content)
    listed = "".join(f"{modules.name_of(path)}\n" for path in order)
    cpio.add("modules/order", stat.S_IFREG | 0o644, listed.encode())
    for name, path in guest.items():
        with open(path, "rb") as file:
            cpio.add(name, stat.S_IFREG | 0o755, file.read())
    return cpio.finish()
