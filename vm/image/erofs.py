"""Read-only file system images (erofs) from directories."""

from __future__ import annotations

import os

from seatrial.vm import programs

UUID = "00000000-0000-0000-0000-000000000000"  # the same content gives the same image
EPOCH = "1735689600"  # 2025-01-01: no file of an image is younger, nor the image (SOURCE_DATE_EPOCH)


def command(tree: str, image: str, *, all_root: bool = False) -> list[str]:
    """argv that makes an erofs image of a directory tree; modes, times and extended attributes are kept, owners too or
    (`all_root`) all set to root.

    Not compressed: under software emulation the guest pays more for decompression than the host for reading.
    """
    owners = ["--all-root"] if all_root else []
    return [programs.find("mkfs.erofs"), "--quiet", "-U", UUID, *owners, image, tree]


def pack(tree: str, image: str, *, clamp: bool) -> None:
    """Make the image of a tree that was copied from this host: root owns the files.  `clamp` makes no file younger than
    EPOCH, nor the image: the same content gives the same bytes; without it bytecode of Python, which knows the time
    of its source, stays valid."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH} if clamp else None
    programs.run(
        command(tree, image, all_root=True), f"cannot make the image {os.path.basename(image)}", env=environment
    )
