"""Tests with machines of Vagrant, run by test_vagrant_machines.py in a room with a libvirtd.  They share a box and a
machine, which goes back to its snapshot for each test; two machines share a run of the suite."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from seatrial.conformance import machines
from seatrial.vm.errors import BootError, GuestError, InfrastructureError
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.machine import Blueprint, Machine, Pool
from seatrial.vm.vagrant import box, command
from seatrial.vm.vagrant.environment import Environment
from seatrial.vm.vagrant.fixtures import SuiteRun
from seatrial.vm.vagrant.machine import VagrantMachine
from seatrial.vm.vagrant.pool import VagrantPool

KERNEL = "6.1"
PATIENCE = 900.0


@pytest.fixture(scope="session")
def vagrant_blueprint() -> Blueprint:
    return Blueprint(
        kernel=KERNEL, memory=768, image=machines.image(), layers={"harness": machines.layer()}, setup=machines.setup()
    )


def shell(machine: Machine, script: str) -> str:
    done = machine.run(["sh", "-ec", script], timeout=PATIENCE)
    assert done.status == 0, done
    return done.stdout.decode()


def test_machine_is_what_was_asked_for(vagrant_machine: Machine) -> None:
    stamp = vagrant_machine.stamp
    assert stamp["driver"] == "vagrant"
    assert stamp["accelerator"] in ("kvm", "tcg")
    release, manager, failed = shell(
        vagrant_machine, "uname -r; cat /proc/1/comm; systemctl --failed --no-legend | wc -l"
    ).split()
    assert release == stamp["release"]
    assert release.startswith(KERNEL)
    assert (manager, failed) == ("systemd", "0")
    assert shell(vagrant_machine, "stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"


def test_command_in_a_machine_feels_local(vagrant_machine: Machine, tmp_path: Path) -> None:
    done = vagrant_machine.run(["sh", "-c", "cat; echo bad >&2; kill -TERM $$"], stdin=b"typed", timeout=PATIENCE)
    assert (done.status, done.stdout, done.stderr) == (-15, b"typed", b"bad\n")
    with pytest.raises(FileNotFoundError):
        vagrant_machine.run(["/no/such/program"])
    with pytest.raises(TimeoutError):
        vagrant_machine.run(["sleep", "1000"], timeout=1)
    (tmp_path / "file").write_text("carried")
    vagrant_machine.copy_in(str(tmp_path / "file"), "/tmp/there")
    vagrant_machine.copy_out("/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "carried"
    vagrant_machine.start(["busybox", "httpd", "-f", "-p", "8080", "-h", "/tmp"])
    host, port = vagrant_machine.forward(8080)
    address = f"http://{host}:{port}/there"
    code = f"import urllib.request; print(urllib.request.urlopen({address!r}).read().decode())"
    fetch = [sys.executable, "-c", code]
    for _ in range(30):
        fetched = subprocess.run(fetch, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if fetched.returncode == 0:
            break
        time.sleep(1)
    assert fetched.stdout == "carried\n", fetched.stderr


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_gets_a_machine_as_it_was(vagrant_machine: Machine, round_: int) -> None:
    shell(vagrant_machine, "test ! -e /root/mark; echo x >/root/mark; rm /usr/sbin/runc")
    now = int(shell(vagrant_machine, "date +%s"))
    assert abs(now - time.time()) < 60


def test_suite_runs_in_a_machine(vagrant_suite: Callable[[Sequence[str]], SuiteRun]) -> None:
    run = vagrant_suite(["--runtime", "/usr/sbin/runc", "-k", "test_state_of", "--timeout", "120", "-n", "1"])
    assert run.status == 0, run.output
    found = {line["case"]: line["outcome"] for line in run.results if line["kind"] == "result"}
    assert len(found) > 1
    assert set(found.values()) <= {"passed", "skipped"}
    stamps = [line for line in run.results if line["kind"] == "stamp"]
    assert [stamp["cgroup"]["view"] for stamp in stamps] == ["v2"]


def test_machine_that_panics_is_diagnosed(vagrant_machine: Machine) -> None:
    assert "dmesg:" in vagrant_machine.diagnose("asked").console
    with pytest.raises(GuestError, match="Kernel panic - not syncing: sysrq triggered crash"):
        vagrant_machine.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"], timeout=PATIENCE)


def test_two_machines_share_a_run(vagrant_pool: Pool, vagrant_blueprint: Blueprint, tmp_path: Path) -> None:
    """pytest-xdist over execnet's vagrant_ssh=: results and evidence of both."""
    alone = dataclasses.replace(vagrant_blueprint, snapshot=False)  # the second one is for this test only
    with vagrant_pool.boot(vagrant_blueprint) as one, vagrant_pool.boot(alone) as two:
        argv = [sys.executable, "-m", "pytest", "-v", "-d", "-p", "no:cacheprovider", "--pyargs"]
        # Modules by name: to collect the whole suite takes two minutes there.
        argv += [f"seatrial.conformance.cases.lifecycle.{module}" for module in ("test_state", "test_delete")]
        for machine in (one, two):
            assert isinstance(machine, VagrantMachine)
            argv += ["--tx", machine.vagrant_gateway(machines.PYTHON)]
        argv += ["-k", "test_state_of or test_state_refuses or test_delete_refuses"]
        argv += ["--runtime", "/usr/sbin/runc", "--runtime-timeout", "120", "--expect", "runc-1.1"]
        argv += ["--results", "r.jsonl", "--evidence", "ev"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
        output = done.stdout + done.stderr
        print(output)
        assert done.returncode == 0, output
        names = {shell(machine, "hostname").strip() for machine in (one, two)}
    assert len(names) == 2
    assert "node down" not in output
    for worker in ("gw0", "gw1"):
        assert re.search(rf"\[{worker}\] \[ *\d+%\] ", output), output
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert lines[0]["host"]["kernel"].startswith(KERNEL)
    assert lines[0]["airlock"] is True
    assert lines[-1]["workers"] == 2
    found = {line["case"]: line for line in lines if line["kind"] == "result"}
    # The file of what Debian's runc is known for goes along, and evidence comes back.
    known = found.pop("lifecycle/test_delete.py::test_delete_refuses_a_created_container")
    assert known["outcome"] == "expected-failure"
    assert json.loads(Path(known["evidence"], "case.json").read_text())["machine"] in names
    assert os.path.dirname(known["evidence"]) == str(tmp_path / "ev")
    assert len(found) > 3
    assert {line["outcome"] for line in found.values()} <= {"passed", "skipped"}
    assert "passed" in {line["outcome"] for line in found.values()}


def test_cgroup_mode_is_chosen_at_boot(vagrant_pool: Pool) -> None:
    with vagrant_pool.boot(Blueprint(kernel=KERNEL, cgroup="v1", memory=512, snapshot=False)) as machine:
        assert shell(machine, "grep -c ' cgroup2 ' /proc/mounts || true; cat /proc/1/comm").split() == ["0", "systemd"]
        assert int(shell(machine, "grep -c ' cgroup ' /proc/mounts")) > 5


def test_box_of_others_is_told_the_mode_by_its_provisioner(vagrant_pool: Pool, vagrant_blueprint: Blueprint) -> None:
    """Our box under another name: then nothing but update-grub changes its mode."""
    assert isinstance(vagrant_pool, VagrantPool)
    _, path = box.build(dataclasses.replace(vagrant_blueprint, cgroup="v2"))
    command.run(["box", "add", "--name", "trial/debian", path], cwd="/run")
    with VagrantPool(box="trial/debian") as pool:
        blueprint = Blueprint(cgroup="hybrid", memory=512, snapshot=False)
        with pool.boot(blueprint) as machine:
            assert machine.stamp["kernel"] == "the box's"
            assert shell(machine, "grep -c ' cgroup2 ' /proc/mounts; stat -fc %T /sys/fs/cgroup").split() == [
                "1",
                "tmpfs",
            ]


def test_box_that_does_not_exist_is_told(vagrant_pool: Pool) -> None:
    with (
        VagrantPool(box="seatrial/no-such-box", accelerated="tcg") as pool,
        pytest.raises(InfrastructureError, match="box"),
    ):
        pool.boot(Blueprint(snapshot=False))


def test_machine_that_does_not_boot_is_told(vagrant_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our box with another kernel, which finds no root."""
    assert isinstance(vagrant_pool, VagrantPool)
    kernel = kernels.resolve(KERNEL)
    first = Environment.__init__

    def other_kernel(self: Environment, provider: str, parameters: Mapping[str, str]) -> None:
        added = {"kernel": kernel.image, "append": "console=ttyS0 root=/dev/none"}
        first(self, provider, {**parameters, **added})

    monkeypatch.setattr(Environment, "__init__", other_kernel)
    with pytest.raises(BootError, match="Kernel panic - not syncing: VFS: Unable to mount root fs"):
        vagrant_pool.boot(Blueprint(kernel=KERNEL, memory=512, snapshot=False))
