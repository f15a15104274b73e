"""Read-only file system images (erofs) from directories."""

from __future__ import annotations

import os

from seatrial.vm import programs

UUID = "00000000-0000-0000-0000-000000000000"  # the same content gives the same image


def pack(tree: str, image: str) -> None:
    """Make an erofs image of a directory tree; owners, modes, times and extended attributes are kept.

    Not compressed: under software emulation the guest pays more for decompression than the host for reading.
    """
    programs.run(["mkfs.erofs", "--quiet", "-U", UUID, image, tree], f"cannot make the image {os.path.basename(image)}")
