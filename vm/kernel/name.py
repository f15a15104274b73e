"""Names of kernels: `debian:6.1`, `debian:5.10-cloud`, `6.1` (the cloud flavour), `path:/boot/vmlinuz-...`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from seatrial.vm.errors import BlueprintError

FLAVOURS = {"": "amd64", "cloud": "cloud-amd64"}
FORM = "debian:VERSION, debian:VERSION-cloud, VERSION (the cloud flavour) or path:FILE"


@dataclass(frozen=True, slots=True)
class KernelName:
    """What was asked for: a `version` prefix (`6.1`) and flavour of the distribution's packages, or a `path`."""

    version: str = ""
    flavour: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"path:{self.path}"
        return f"debian:{self.version}" + (f"-{self.flavour}" if self.flavour else "")

    @property
    def pattern(self) -> str:
        """A regular expression for the names of the packages that hold such a kernel's image."""
        return rf"linux-image-{re.escape(self.version)}(?:[.+][\w.+~]*)?(?:-\d+)?-{FLAVOURS[self.flavour]}"


def parse(text: str) -> KernelName:
    """The name in `text`; BlueprintError when it has none of the forms."""
    if text.startswith("path:"):
        path = os.path.abspath(text.removeprefix("path:"))
        if not os.path.isfile(path):
            raise BlueprintError(f"kernel {text}: no such file")
        return KernelName(path=path)
    found = re.fullmatch(r"(debian:)?(\d+\.\d+(?:\.\d+)*)(-[a-z]+)?", text)
    if not found:
        raise BlueprintError(f"kernel {text!r}: expected {FORM}")
    distribution, version, flavour = found.groups()
    wanted = (flavour or "").removeprefix("-") or ("" if distribution else "cloud")
    if wanted not in FLAVOURS:
        raise BlueprintError(f"kernel {text!r}: unknown flavour {wanted!r}: one of {', '.join(filter(None, FLAVOURS))}")
    return KernelName(version, wanted)


def order(package: str) -> tuple[int, ...]:
    """A sort key for package names of one kernel series: the numbers in them."""
    return tuple(int(number) for number in re.findall(r"\d+", package.removesuffix("-amd64")))
