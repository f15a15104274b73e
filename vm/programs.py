"""Programs of the host that machines need, started with an error that says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from seatrial.vm.errors import InfrastructureError

PACKAGES = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "mmdebstrap": "mmdebstrap",
    "fsck.erofs": "erofs-utils",
    "grub-mkimage": "grub-pc-bin and grub-common",
    "mke2fs": "e2fsprogs",
    "mkfs.erofs": "erofs-utils",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "vagrant": "vagrant",
}


def find(name: str) -> str:
    """The path of a program; InfrastructureError names the package when it is missing."""
    path = shutil.which(name, path=_path())
    if path is None:
        raise InfrastructureError(f"no program {name}: install the package {PACKAGES.get(name, name)}")
    return path


def run(argv: Sequence[str], what: str, *, input: bytes | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output; InfrastructureError with the end of what it said."""
    command = [find(argv[0]), *argv[1:]]
    done = subprocess.run(
        command, input=input, capture_output=True, env=env, stdin=None if input else subprocess.DEVNULL
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace").strip()
        tail = "\n".join(said.splitlines()[-15:])
        raise InfrastructureError(f"{what}: {argv[0]} ended with status {done.returncode}\n{tail}")
    return done.stdout.decode("utf-8", "replace")


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"  # an ordinary user's PATH may lack sbin
