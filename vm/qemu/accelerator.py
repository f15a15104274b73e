"""Which accelerator really works: KVM where a short boot proves it within a time limit, otherwise TCG.

/dev/kvm may answer and an ordinary kernel hang all the same (nested virtualisation), so nothing less than a boot tells.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time

from seatrial.vm import cache, programs

KVM, TCG = "kvm", "tcg"
LIMIT = 8.0  # seconds for the trial; a working KVM needs less than one
PROOF = "seatrial: alive"
REMEMBERED = 7 * 86400  # seconds for which an answer holds


def choose(kernel: str, initramfs: str) -> str:
    """`kvm` or `tcg`, remembered for this kernel of the host and this QEMU; the trial boots `kernel` up to its first
    program."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    qemu = programs.find("qemu-system-x86_64")
    key = cache.digest(os.uname().release, os.uname().version, str(os.stat(qemu).st_mtime_ns), _cpu())
    path = cache.place("snapshots", f"accelerator-{key}.json")
    with cache.locked(path):
        try:
            with open(path, encoding="utf-8") as file:
                known = json.load(file)
            if time.time() - known["tried"] < REMEMBERED:
                return str(known["accelerator"])
        except (OSError, ValueError, KeyError):
            pass
        found = KVM if _boots(qemu, kernel, initramfs) else TCG
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"accelerator": found, "tried": time.time()}, file)
    return found


def _boots(qemu: str, kernel: str, initramfs: str) -> bool:
    with tempfile.TemporaryFile() as log:
        argv = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256", "-accel", "kvm"]
        argv += ["-kernel", kernel, "-initrd", initramfs, "-serial", "stdio"]
        argv += ["-append", "console=ttyS0 quiet panic=-1 seatrial.alive"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        return PROOF.encode() in log.read()


def _cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return next((line for line in file if line.startswith("model name")), "")
