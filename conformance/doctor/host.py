"""Facts about this host that decide what can be tested."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any

from seatrial.conformance.airlock.subtree import stale
from seatrial.conformance.engine import needs
from seatrial.conformance.verdict import stamp

RUNTIMES = ("runc", "crun", "youki", "runsc", "kata-runtime", "sysbox-runc", "uxc")  # looked for on PATH
KVM_GET_API_VERSION = 0xAE00  # linux/kvm.h
KVM_API = 12  # the only one there is, Documentation/virt/kvm/api.rst 4.1
OURS = re.compile(r"seatrial-(doctor-)?[a-z0-9_]{8}")  # directories in /tmp, by tempfile.mkdtemp
OLD = 600.0  # seconds: a run that is alive may have a directory that stands in no command line
SECONDS = 5.0  # for the version text of a program


def facts() -> dict[str, Any]:
    """Kernel, privilege, security modules and capabilities that are missing."""
    host = stamp.host()
    held = needs.effective_capabilities()
    missing = [name for number, name in enumerate(needs.CAPABILITIES) if not held >> number & 1]
    return {
        **host,
        "privilege": "root" if os.geteuid() == 0 else "rootless",
        "missing_capabilities": missing,
        "confined": host["seccomp"] not in (None, "0"),
    }


def runtimes(more: list[str]) -> list[str]:
    """Paths of the runtimes to try: those named, the reference beside the interpreter, and those on PATH."""
    from seatrial.conformance.driver.driver import default_runtime
    from seatrial.conformance.engine.session import resolve_runtime

    found = [resolve_runtime(name) for name in more]
    if os.access(default_runtime(), os.X_OK):
        found.append(default_runtime())
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin"
    found += [where for name in RUNTIMES if (where := shutil.which(name, path=path))]
    named: dict[str, str] = {}
    for one in found:
        named.setdefault(os.path.realpath(one), os.path.abspath(one))
    return list(named.values())


def version(*command: str) -> str | None:
    """The first line that a program prints about its version; None when there is no such program, or nothing."""
    if not shutil.which(command[0]):
        return None
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0][:120] if lines and done.returncode == 0 else None


def kvm() -> str | None:
    """Why KVM cannot be used; None when the device answers.  That a kernel boots under it is not proved by that."""
    try:
        descriptor = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    try:
        api = fcntl.ioctl(descriptor, KVM_GET_API_VERSION, 0)
    except OSError as error:
        return f"/dev/kvm does not answer: {error.strerror}"
    finally:
        os.close(descriptor)
    return None if api == KVM_API else f"/dev/kvm speaks version {api}, not {KVM_API}"


def machines() -> dict[str, Any]:
    """What virtual machines and checkpoints would use."""
    qemu = f"qemu-system-{os.uname().machine}"
    return {"kvm": kvm(), "qemu": version(qemu, "--version"), "criu": version("criu", "--version")}


def leftovers() -> list[str]:
    """Cgroups and temporary directories of runs that are no more."""
    found = stale()
    used = _command_lines()
    for entry in os.scandir("/tmp"):
        if not OURS.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False) or entry.name in used:
            continue
        status = entry.stat(follow_symlinks=False)
        if status.st_uid == os.geteuid() and time.time() - status.st_mtime > OLD:
            found.append(entry.path)
    return sorted(found)


def _command_lines() -> str:
    """The command lines of all processes: a run's directory stands in those of its janitor and of its workers."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                found.append(file.read())
        except OSError:
            continue
    return "\n".join(found)


def python() -> str:
    """The interpreter, for a report."""
    return f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
