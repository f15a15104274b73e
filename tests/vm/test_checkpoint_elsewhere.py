"""A container is checkpointed in one machine and goes on in another of the same image.  Skipped where there is none."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.conformance import machines
from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.driver.bundle import PROBE, Workshop
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.driver.workload import DIRECTORY
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.machine import Blueprint, Machine
from seatrial.vm.qemu.pool import QemuPool, parts

NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mkfs.erofs", "apt-get", "dpkg-deb")
KINDS = ("memory", "threads", "pipes", "signals", "posix-timers", "files")
PATIENCE = 1200.0

ANSWERS = """
await_answer() {{
    until test -e bundle/rootfs/answers/$1; do
        {runtime} state moved | grep -q '"status": "running"' || {{ {runtime} state moved >&2; exit 1; }}
        sleep 0.2
    done
}}
"""
START = """
cd /srv
{runtime} create --bundle bundle moved </dev/null >/dev/null 2>&1
{runtime} start moved
await_answer 1
{runtime} checkpoint --image-path /srv/images --work-path /srv/work moved || {{ tail -n 20 work/dump.log >&2; exit 1; }}
"""
GO_ON = """
cd /srv
mkdir work
{runtime} restore --detach --bundle bundle --image-path /srv/images --work-path /srv/work moved \
    </dev/null >/dev/null 2>&1 || {{ tail -n 20 work/restore.log >&2; exit 1; }}
{runtime} kill moved USR1
await_answer 2
"""


def blueprint(runtime: str) -> Blueprint:
    """A machine with that runtime; skips the test where it cannot be made."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in NEEDED:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"program:{program}: not installed")
    wanted = Blueprint(
        kernel="6.1", cgroup="v1", memory=512, setup="modprobe -qa nf_tables veth xt_mark nft_compat || true"
    )
    if runtime == machines.RUNTIME:
        layers = {"harness": machines.layer()}
        wanted = replace(wanted, image=machines.image(), layers=layers, setup=machines.setup())
    try:
        parts(wanted)
    except InfrastructureError as error:
        pytest.skip(f"packages: {str(error).splitlines()[0]}")
    return wanted


def shell(machine: Machine, script: str) -> None:
    done = machine.run(["sh", "-ec", script], timeout=PATIENCE)
    assert done.status == 0, done.stderr.decode("utf-8", "replace")


def answer(machine: Machine, directory: Path, number: int) -> Report:
    machine.copy_out(f"/srv/bundle/rootfs{DIRECTORY}/{number}", str(directory / str(number)))
    return parse((directory / str(number)).read_text(encoding="utf-8"))


@pytest.mark.parametrize("runtime", ["runc", machines.RUNTIME], ids=os.path.basename)
def test_container_goes_on_in_another_machine(tmp_path: Path, runtime: str) -> None:
    wanted = blueprint(runtime)
    bundle = Workshop(str(tmp_path / "bundles"), "moved").bundle()
    bundle.directory(DIRECTORY, 0o777)
    bundle.linux["maskedPaths"] = []
    bundle.args(PROBE, "workload", DIRECTORY, *KINDS).write()
    with QemuPool() as pool:
        with pool.boot(wanted) as machine:
            machine.copy_in(bundle.path, "/srv/bundle")
            shell(machine, (ANSWERS + START).format(runtime=runtime))
            before = answer(machine, tmp_path, 1)
            for name in ("bundle", "images"):
                machine.copy_out(f"/srv/{name}", str(tmp_path / name))
        with pool.boot(wanted) as machine:
            for name in ("bundle", "images"):
                machine.copy_in(str(tmp_path / name), f"/srv/{name}")
            shell(machine, (ANSWERS + GO_ON).format(runtime=runtime))
            after = answer(machine, tmp_path, 2)
    law.same_state(before, after, *KINDS)
    law.hold(before, after, "ids", "caps", "rlimits", "uts", "cgroup", "fds")
