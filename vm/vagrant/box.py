"""A Vagrant box from packages: a disk with a Debian that systemd boots, any kernel, sshd and Vagrant's public key.

The format is that of the libvirt provider: a gzipped tar of metadata.json, a Vagrantfile and box.img (qcow2).  The disk
has a boot loader of its own, so that nothing beside the box is needed where it is used; the loader adds the words that
belong to the cgroup mode, which the machine's SMBIOS tells it (else the mode that the box was made for).
"""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile

from seatrial.vm import cache, programs
from seatrial.vm.image import base, erofs, initramfs
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.kernel.lock import Lock
from seatrial.vm.machine import CGROUP_MODES, Blueprint
from seatrial.vm.vagrant import tree

FORMAT = "1"  # of this recipe: a change of it makes new boxes
PACKAGES = ("systemd-sysv", "dbus", "openssh-server", "sudo", "iptables")
ROOT_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "crc32c_generic",
    "virtio_net",
    "virtio_rng",
    "loop",
    "veth",
    "overlay",
)
NEEDED = ("mke2fs", "qemu-img", "grub-mkimage", "fsck.erofs")
GRUB = "/usr/lib/grub/i386-pc"
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "smbios", "test", "configfile")
SECTOR = 512
START = 2048  # the first sector of the partition; the boot loader lies before it
SIZE = 3 << 30  # bytes of the disk; a file with holes
CONSOLE = "console=ttyS0 net.ifnames=0 no_timer_check quiet"  # a busy host is late with the first ticks
# systemd 252: kernel-command-line(7), systemd(1)
CGROUP_WORDS = {
    "v2": "systemd.unified_cgroup_hierarchy=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
}
HERE = os.path.dirname(os.path.abspath(__file__))


def name(blueprint: Blueprint, kernel: kernels.Kernel) -> str:
    """What Vagrant calls the box of a blueprint; the same name, the same content."""
    recipe = [_read(os.path.join(HERE, file)) for file in ("box.py", "tree.py", "box.rb")]
    recipe.append(_read(os.path.join(initramfs.GUEST, "box-init")))
    digest = cache.digest(FORMAT, base.FORMAT, blueprint.image, blueprint.cgroup, kernel.digest, *recipe)
    return f"seatrial-{blueprint.image}-{kernel.release}-{blueprint.cgroup}-{digest}"


def build(blueprint: Blueprint, lock: Lock | None = None) -> tuple[str, str]:
    """(name, path) of the box for a blueprint's image, kernel and cgroup mode: from the cache, or made (a minute).

    BlueprintError for an unknown image or kernel, InfrastructureError when a program or a package is missing.
    """
    for program in NEEDED:
        programs.find(program)
    kernel = kernels.resolve(blueprint.kernel, lock)
    called = name(blueprint, kernel)
    place = cache.place("boxes", called)
    with cache.building(place) as work:
        if work is not None:
            _make(blueprint, kernel, work)
    return called, os.path.join(place, "seatrial.box")


def _make(blueprint: Blueprint, kernel: kernels.Kernel, work: str) -> None:
    root = base.build(blueprint.image, PACKAGES)
    guest = {"init": os.path.join(initramfs.GUEST, "box-init")}
    with open(os.path.join(work, "initrd"), "wb") as file:
        file.write(initramfs.archive(kernel, base.busybox(root), guest, ROOT_MODULES))
    disk = os.path.join(work, "disk")
    with open(disk, "wb") as file:
        file.truncate(SIZE)
    boot = {"boot/vmlinuz": kernel.image, "boot/initrd": os.path.join(work, "initrd")}
    boot["boot/grub/grub.cfg"] = os.path.join(work, "grub.cfg")
    with open(boot["boot/grub/grub.cfg"], "w", encoding="ascii") as config:
        config.write(loader_script(blueprint.cgroup))
    tree.fill(disk, START * SECTOR, SIZE // 1024 - START // 2, root.path, kernel, boot, work)
    core = os.path.join(work, "core.img")
    words = ["-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/boot/grub", *GRUB_MODULES]
    programs.run(["grub-mkimage", *words], "cannot make the boot loader")
    with open(disk, "r+b") as image, open(core, "rb") as loader, open(os.path.join(GRUB, "boot.img"), "rb") as first:
        install_loader(image.fileno(), first.read(), loader.read())
    programs.run(["qemu-img", "convert", "-O", "qcow2", disk, os.path.join(work, "box.img")], "cannot make the disk")
    pack(os.path.join(work, "box.img"), os.path.join(work, "seatrial.box"))
    for left in ("disk", "initrd", "core.img", "grub.cfg", "box.img"):
        os.unlink(os.path.join(work, left))


def loader_script(cgroup: str) -> str:
    """GRUB's commands: what update-grub in the box wrote, else the mode from the first OEM string of the SMBIOS
    (`seatrial.cgroup=v1`), else `cgroup`."""
    lines = [
        f'set words="{CGROUP_WORDS[cgroup]}"',
        "smbios --type 11 --get-string 4 --set told",  # of type 11, byte 4 counts the strings: 1 is the first one
    ]
    lines += [
        f'if [ "$told" = "seatrial.cgroup={mode}" ]; then set words="{CGROUP_WORDS[mode]}"; fi' for mode in CGROUP_MODES
    ]
    lines.append("if [ -f /boot/grub/words.cfg ]; then source /boot/grub/words.cfg; fi")
    lines += [f"linux /boot/vmlinuz root=/dev/vda1 rw {CONSOLE} $words", "initrd /boot/initrd", "boot"]
    return "\n".join(lines) + "\n"


def install_loader(disk: int, boot: bytes, core: bytes) -> None:
    """Write GRUB's two parts and a partition table with one Linux partition (MBR: four entries from byte 446)."""
    if len(core) > (START - 1) * SECTOR:
        raise ValueError("the boot loader does not fit before the partition")
    sectors = os.fstat(disk).st_size // SECTOR - START
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", START, sectors)
    os.pwrite(disk, boot[:440].ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa", 0)
    os.pwrite(disk, core, SECTOR)


def pack(image: str, target: str) -> None:
    """The box itself."""
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": SIZE >> 30}
    with tarfile.open(target, "w:gz", compresslevel=1) as box:
        for entry, content in (("metadata.json", json.dumps(metadata)), ("Vagrantfile", _read(HERE + "/box.rb"))):
            member = _plain(tarfile.TarInfo(entry))
            member.size = len(content.encode())
            box.addfile(member, io.BytesIO(content.encode()))
        box.add(image, "box.img", filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime, entry.mode = int(erofs.EPOCH), 0o644
    return entry


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
