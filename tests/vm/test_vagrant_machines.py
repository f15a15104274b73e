"""Vagrant machines for real: vagrant_cases.py in a room with a libvirtd.  Asked for by SEATRIAL_VAGRANT=1, as it takes
a quarter of an hour and more; skipped by name where a program is missing."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDED = (
    "vagrant",
    "ssh",
    "libvirtd",
    "virsh",
    "dnsmasq",
    "qemu-system-x86_64",
    "qemu-img",
    "grub-mkimage",
    "mke2fs",
    "mmdebstrap",
)
PATIENCE = 3600.0


@pytest.mark.root
@pytest.mark.slow
def test_machines_of_vagrant(tmp_path: Path) -> None:
    if os.environ.get("SEATRIAL_VAGRANT") != "1":
        pytest.skip("SEATRIAL_VAGRANT=1: not set, and this takes a quarter of an hour")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    for program in NEEDED:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"program:{program}: not installed")
    plugins = subprocess.run(["vagrant", "plugin", "list"], capture_output=True, text=True, check=False).stdout
    if "vagrant-libvirt" not in plugins:
        pytest.skip("package:vagrant-libvirt: not installed")
    before = left()
    argv = [
        str(HERE / "libvirt_room"),
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    argv += ["-p", "seatrial.vm.vagrant.fixtures", "-o", "faulthandler_timeout=1800", "--durations=0"]
    argv.append(str(HERE / "vagrant_cases.py"))
    environment = {**os.environ, "PATH": path, "SEATRIAL_SHARED_HOST": "1"}
    log = tmp_path / "output"
    with open(log, "wb") as file:  # so that it is there after a timeout too, and can be watched
        try:
            status = subprocess.run(
                argv, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
    output = log.read_text()
    print(output)
    assert status != -1, f"not finished after {PATIENCE:g} s"
    assert status == 0
    assert re.search(r"\b[1-9]\d* passed", output), output
    assert "skipped" not in output
    assert left() == before


def left() -> list[str]:
    """Directories, bridges and cgroups of machines."""
    with open("/proc/net/dev", encoding="ascii") as file:
        bridges = [line.split(":")[0].strip() for line in file if line.strip().startswith(("virbr", "vnet"))]
    return sorted([*glob.glob("/tmp/seatrial-vagrant-*"), *bridges, *glob.glob("/sys/fs/cgroup/**/machine*/qemu-*")])
