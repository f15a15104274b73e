"""A runtime of this host in a machine: a layer with the binary and with what it links to.

The binary goes in as it is.  Where the machine's own libraries do not suit it, a copy takes its place that has the
host's loader and libraries (patchelf): a runtime executes itself anew through /proc/self/exe, so that a wrapper, or the
loader as a command, would not do.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
from dataclasses import dataclass

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict.stamp import digest

BASE = "/opt/runtimes"
PT_INTERP = 3
# One line of `ld.so --list`: a library and where it was found (the vdso has no path).
FOUND = re.compile(r"^\s*(\S+) => (/\S.*) \(0x[0-9a-f]+\)$|^\s*(\S+) => not found$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Binary:
    """A runtime of this host.  `loader` is its interpreter here and `libraries` what that loads, by name; both are
    empty for a static binary and for a script."""

    path: str
    digest: str
    loader: str
    libraries: dict[str, str]

    @property
    def place(self) -> str:
        """Its directory in a machine."""
        return f"{BASE}/{self.digest.removeprefix('sha256:')[:12]}"

    @property
    def plain(self) -> str:
        """The path in a machine of the binary as it is."""
        return f"{self.place}/{os.path.basename(self.path)}"

    @property
    def relocated(self) -> str:
        """The path in a machine of the copy with its own loader and libraries."""
        return f"{self.place}/own/{os.path.basename(self.path)}"

    def layer(self, work: str) -> dict[str, str]:
        """Target in the machine -> path here, for vm's Blueprint.layers; what must be made is made below `work`."""
        trees = {self.plain: os.path.realpath(self.path)}
        if not self.loader:
            return trees
        copy = os.path.join(work, self.digest.removeprefix("sha256:")[:12])
        if self._relocate(copy):
            trees[self.relocated] = copy
            trees[f"{self.place}/lib/{os.path.basename(self.loader)}"] = os.path.realpath(self.loader)
            trees |= {f"{self.place}/lib/{name}": os.path.realpath(path) for name, path in self.libraries.items()}
        return trees

    def _relocate(self, copy: str) -> bool:
        """Make the copy whose loader and libraries are those of the layer; False where there is no patchelf."""
        if shutil.which("patchelf") is None:
            return False
        shutil.copyfile(os.path.realpath(self.path), copy)
        os.chmod(copy, 0o755)
        loader = f"{self.place}/lib/{os.path.basename(self.loader)}"
        # DT_RPATH, which libraries of libraries inherit; DT_RUNPATH is for the program's own.
        argv = ["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath", f"{self.place}/lib", copy]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            raise EnvironmentProblem(f"cannot prepare a copy of {self.path}: patchelf: {done.stderr.strip()}")
        return True

    def choice(self) -> str:
        """A shell script for the machine that prints the path of the one that runs there; its status is not 0 when none
        does, with the reason on standard error."""
        tries = [
            f"if [ -x {path} ] && {path} --version >/dev/null; then echo {path}; exit 0; fi"
            for path in map(shlex.quote, (self.plain, self.relocated))
        ]
        return "\n".join([*tries, "exit 1"])

    def refusal(self, said: str) -> str:
        """What to tell when none runs."""
        brought = not self.loader or shutil.which("patchelf")
        hint = "" if brought else "; with patchelf on this host its libraries come along"
        return f"{self.path} does not run in the machine: {said.strip() or 'no error text'}{hint}"


def examine(path: str) -> Binary:
    """The runtime at `path`; EnvironmentProblem when it cannot be read or a library of it is missing here."""
    loader = interpreter(path)
    return Binary(path, digest(path), loader, libraries(path, loader) if loader else {})


def libraries(path: str, loader: str) -> dict[str, str]:
    """What the loader loads for a program: name -> path (ld.so(8), --list)."""
    try:
        done = subprocess.run([loader, "--list", path], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"{path}: its loader {loader} does not run here: {error}") from error
    found = FOUND.findall(done.stdout)
    missing = [name for _, _, name in found if name]
    if done.returncode != 0 or missing:
        lacking = ", ".join(missing) or done.stderr.strip()
        raise EnvironmentProblem(f"{path} does not run on this host, so what it links to cannot be copied: {lacking}")
    return {name: where for name, where, _ in found if name and name != os.path.basename(loader)}


def interpreter(path: str) -> str:
    """The loader that an ELF program names (PT_INTERP, elf(5)); empty for a static one, or what is no 64-bit ELF."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return ""
            (offset,) = struct.unpack_from("<Q", head, 32)
            size, number = struct.unpack_from("<HH", head, 54)
            for index in range(number):
                file.seek(offset + index * size)
                entry = file.read(56)
                if len(entry) == 56 and struct.unpack_from("<I", entry)[0] == PT_INTERP:
                    start, length = struct.unpack_from("<Q16xQ", entry, 8)
                    file.seek(start)
                    return file.read(min(length, 4096)).rstrip(b"\0").decode("utf-8", "surrogateescape")
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {path}: {error.strerror}") from error
    return ""
