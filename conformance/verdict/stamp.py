"""The stamp: what was tested, where, and the proof that it is the binary that was named."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver import criu
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.ledger import ledger
from seatrial.conformance.verdict import results

VERSION_TIMEOUT = 10  # seconds for `RUNTIME --version`
LOOK = 0.0005  # seconds until the next look at what a new process runs


def digest(path: str) -> str:
    """`sha256:` and the hexadecimal digest of a file; EnvironmentProblem when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentProblem(f"cannot read {path}: {error.strerror}") from error


def identify(path: str) -> dict[str, Any]:
    """Who the runtime is: path, real path, digest, size, version text, and the program that the kernel executed for it.

    `executed` is /proc/PID/exe of `RUNTIME --version` while it ran: the file itself, for a script its interpreter, None
    when the process ended before it could be read.  A runtime may run a copy of itself from memory or from a private
    mount (against CVE-2019-5736): its content must be that of the file.

    EnvironmentProblem when it cannot be started, or when another program runs.
    """
    real = os.path.realpath(path)
    with open(real, "rb") as file:
        magic = file.read(4)
    kind = "elf" if magic == b"\x7fELF" else "script" if magic.startswith(b"#!") else "other"
    own = digest(real)
    text, executed, content = _version(path, kind)
    if kind == "elf" and content not in (None, own):
        raise EnvironmentProblem(f"asked to test {real}, but {executed} runs in its place")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    spec = re.search(r"^spec:\s*(\S+)", text, re.MULTILINE)
    return {
        "path": path,
        "realpath": real,
        "digest": own,
        "bytes": os.path.getsize(real),
        "kind": kind,
        "executed": executed,
        "name": lines[0][:120] if lines else None,
        "version": text[:2000],
        "spec": spec.group(1) if spec else None,
    }


def _version(path: str, kind: str) -> tuple[str, str | None, str | None]:
    """The version text, the path of the program that ran, and the digest of its content."""
    try:
        process = subprocess.Popen(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentProblem(f"cannot start {path}: {error.strerror}") from error
    executed, content = _running(process, kind)
    try:
        output, _ = process.communicate(timeout=patience(VERSION_TIMEOUT))
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    text = output.decode("utf-8", "replace") if process.returncode == 0 else ""
    return text, executed, content


def _running(process: subprocess.Popen[bytes], kind: str) -> tuple[str | None, str | None]:
    """The path of the program that a new process runs, and the digest of its content; None when it has ended.

    Where 6.12 is emulated, every other process still shows the program that forked it when execve(2) has closed the
    descriptors, by which Popen knows that it succeeded: then it is looked at again.
    """
    forked = os.readlink("/proc/self/exe") if kind == "elf" else None
    try:
        while True:
            with open(f"/proc/{process.pid}/exe", "rb") as file:
                executed = os.readlink(f"/proc/self/fd/{file.fileno()}")
                if executed != forked:
                    return executed, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
            if process.poll() is not None:
                return None, None
            time.sleep(LOOK)
    except OSError:  # it has ended
        return None, None


def host() -> dict[str, Any]:
    """Facts about the host that results depend on."""
    name = os.uname()
    return {
        "kernel": name.release,
        "kernel_version": name.version,
        "machine": name.machine,
        "distribution": _distribution(),
        "cpus": len(os.sched_getaffinity(0)),
        "lsm": _read("/sys/kernel/security/lsm") or None,
        "capabilities": _status("CapEff"),
        "seccomp": _status("Seccomp"),
        "uid_map": " ".join(_read("/proc/self/uid_map").split()),
        "criu": criu.text(),
    }


def make(runtime: str, profile: str, airlock: bool, masks: Sequence[str] = ()) -> dict[str, Any]:
    """The stamp of a run, made where its cases run (inside the airlock, when there is one)."""
    view = cgroups.read_view()
    return {
        "format": results.FORMAT,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seatrial": importlib.metadata.version("seatrial"),
        "spec": ledger.SPEC_VERSION,
        "profile": profile,
        "runtime": identify(runtime),
        "privilege": "root" if os.geteuid() == 0 else "rootless",
        "cgroup": {"view": view.mode, "controllers": sorted(view.controllers()), "manager": "cgroupfs"},
        "accelerator": None,  # no virtual machine
        "airlock": airlock,
        "masks": list(masks),
        "host": host(),
    }


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _status(name: str) -> str | None:
    found = re.search(rf"^{name}:\s*(\S+)", _read("/proc/self/status"), re.MULTILINE)
    return found.group(1) if found else None


def _distribution() -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return found.group(1) if found else None
