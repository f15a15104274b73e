"""The base layer: a small Debian from packages, by mmdebstrap; no root needed where user namespaces are allowed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from seatrial.vm import cache, programs
from seatrial.vm.errors import BlueprintError
from seatrial.vm.image import erofs
from seatrial.vm.image.layer import Layer
from seatrial.vm.kernel.archive import KEYRING, Archive

SUITES = ("bookworm", "trixie", "forky", "sid")
PACKAGES = (
    "python3",
    "busybox-static",
    "kmod",
    "iproute2",
    "procps",
    "uidmap",
    "libseccomp2",
    "runc",
    "crun",
    "criu",
    "iptables",  # by which CRIU before 4 keeps packets away during a dump
    "util-linux",
    "mount",
)
FORMAT = "3"  # of this recipe: a change of it makes new images
# Bytecode that is valid whatever the times of its source: to compile in the machine would take seconds.
COMPILE = (
    "find /usr/lib/python3* /usr/share/python3 -name __pycache__ -prune -exec rm -rf {} + ; "  # has times of this build
    "python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3* /usr/share/python3"
)


def build(suite: str = "bookworm", extra: Sequence[str] = ()) -> Layer:
    """The base layer of a release, with further packages; from the cache, or made (some 20 s and 100 MB of packages).

    BlueprintError for an unknown release, InfrastructureError when a package cannot be had.
    """
    if suite not in SUITES:
        raise BlueprintError(f"image {suite!r}: one of {', '.join(SUITES)}")
    packages = sorted({*PACKAGES, *extra})
    digest = cache.digest(FORMAT, suite, COMPILE, *packages)
    place = cache.place("layers", f"base-{suite}-{digest}")
    with cache.building(place) as work:
        if work is not None:
            _make(suite, packages, work)
    return Layer(f"base-{suite}", os.path.join(place, "image"), digest)


def busybox(layer: Layer) -> str:
    """The path of the static busybox of a base layer, kept beside its image for the initramfs."""
    return os.path.join(os.path.dirname(layer.path), "busybox")


def _make(suite: str, packages: Sequence[str], work: str) -> None:
    archive = Archive()
    archive.refresh()
    tarball = os.path.join(work, "root.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=auto", f"--include={','.join(packages)}"]
    if os.path.exists(KEYRING):
        command.append(f"--keyring={KEYRING}")
    command += [
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f'--customize-hook=chroot "$1" sh -c "{COMPILE}; true"',
        '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*',
        '--customize-hook=echo seatrial > "$1"/etc/hostname',
        # The host's name servers and mirror: a machine has no network, and another host's image shall be the same.
        '--customize-hook=rm -rf "$1"/etc/resolv.conf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*',
        '--customize-hook=chroot "$1" useradd --create-home --uid 1000 trial',
        f'--customize-hook=copy-out /usr/bin/busybox "{work}"',
        "--skip=cleanup/apt",
        suite,
        tarball,
        f"deb {archive.mirror()} {suite} main",
    ]
    programs.run(command, f"cannot make an image of {suite}", env=_environment())
    _pack(tarball, os.path.join(work, "tree"), os.path.join(work, "image"))


def _environment() -> dict[str, str]:
    """Nothing of the caller's that programs in the image would take for theirs; python3, which compiles the rest, does
    not write what it imports itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG", "DEB"))}
    return {**kept, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "SOURCE_DATE_EPOCH": erofs.EPOCH}


def _pack(tarball: str, tree: str, image: str) -> None:
    """Unpack and pack; for an ordinary user in a user namespace, in which the owners are what they shall be."""
    steps = 'mkdir "$1" && tar -C "$1" -xf "$2" --exclude="./dev/*" && shift 2 && "$@"'
    inside = ["sh", "-c", steps, "sh", tree, tarball, *erofs.command(tree, image)]
    remove = ["rm", "-rf", tree, tarball]
    for step, what in ((inside, "cannot pack the image"), (remove, "cannot remove the unpacked image")):
        programs.run([*_as_root(), *step], what, env=_environment())


def _as_root() -> list[str]:
    """What stands before a command that must be root, of the host or of a user namespace of its own."""
    return [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--map-auto"]
