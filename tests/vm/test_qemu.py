"""A real machine: boot, run, clone, diagnose.  Skipped by name where QEMU or a kernel cannot be had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.vm import cache
from seatrial.vm.errors import BootError, GuestError
from seatrial.vm.machine import Blueprint, Machine
from seatrial.vm.qemu.pool import QemuPool

KERNEL = "6.1"
PATIENCE = 300.0


def shell(machine: Machine, script: str, stdin: bytes = b"") -> str:
    done = machine.run(["sh", "-ec", script], stdin=stdin, timeout=PATIENCE)
    assert done.status == 0, done
    return done.stdout.decode()


def test_stamp_says_what_runs(clone: Machine) -> None:
    stamp = clone.stamp
    assert stamp["accelerator"] in ("kvm", "tcg")
    assert shell(clone, "uname -r").strip() == stamp["release"]


def test_controllers_of_v2_are_offered(clone: Machine) -> None:
    offered = shell(clone, "cat /sys/fs/cgroup/cgroup.subtree_control").split()
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(offered)


def test_descriptors_have_the_names_that_udev_gives_them(clone: Machine) -> None:
    """Debian's 5.10 executes a program by its descriptor only where /dev/fd is there."""
    assert shell(clone, "echo told | cat /dev/fd/0 /dev/stdin") == "told\n"


def test_clock_and_random_pool_of_a_clone_are_its_own(pool: QemuPool, clone: Machine) -> None:
    script = "date +%s; od -An -N8 -tx8 /dev/urandom"
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as other:
        first, second = shell(clone, script).split(), shell(other, script).split()
    assert 0 <= int(second[0]) - int(first[0]) < PATIENCE
    assert first[1] != second[1]


def test_what_a_machine_writes_is_gone_with_it(pool: QemuPool) -> None:
    blueprint = Blueprint(kernel=KERNEL, memory=512)
    with pool.boot(blueprint) as machine:
        shell(machine, "echo x >/usr/bin/runc; test ! -s /usr/bin/crun || rm /usr/bin/crun")
    with pool.boot(blueprint) as machine:
        assert shell(machine, "runc --version").startswith("runc version")
        assert shell(machine, "crun --version").startswith("crun version")


def test_clones_are_told_apart(pool: QemuPool, clone: Machine) -> None:
    script = "hostname; cat /etc/hostname /etc/machine-id"
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as other:
        first, second = shell(clone, script).split(), shell(other, script).split()
    assert first[0] == first[1]
    assert all(ours != its for ours, its in zip(first, second, strict=True))


def test_snapshot_of_a_machine_that_runs(pool: QemuPool) -> None:
    """Memory, processes and files go on from there, in the machine itself and in each clone."""
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as machine:
        shell(
            machine, "echo before >/root/file; mkfifo /tmp/in; (read -r word </tmp/in; echo $word >/tmp/out) >&- 2>&- &"
        )
        with machine.snapshot() as snapshot:
            shell(machine, "echo after >/root/file")
            with snapshot.clone() as first:
                assert shell(first, "cat /root/file") == "before\n"
                asked = "echo told >/tmp/in; while [ ! -s /tmp/out ]; do sleep 0.1; done; cat /tmp/out"
                assert shell(first, asked) == "told\n"
                with first.snapshot() as deeper, deeper.clone() as second:
                    assert shell(second, "cat /tmp/out") == "told\n"
        assert shell(machine, "cat /root/file; test ! -e /tmp/out") == "after\n"


def test_no_snapshot_while_a_command_runs(clone: Machine) -> None:
    command = clone.start(["sleep", "1000"])
    with pytest.raises(ValueError, match="runs"):
        clone.snapshot()
    command.signal(signal.SIGKILL)
    assert command.wait(PATIENCE, lambda _: None, lambda _: None) == -signal.SIGKILL


def test_template_is_kept_for_other_processes(pool: QemuPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cache.place("snapshots", "")
    before = set(os.listdir(kept))
    blueprint = Blueprint(kernel=KERNEL, memory=384, setup=f"echo {tmp_path} >/root/made")
    with QemuPool(keep=True) as first:
        first.boot(blueprint).close()
    (made,) = (name for name in set(os.listdir(kept)) - before if not name.endswith(".lock"))
    try:
        monkeypatch.setattr(QemuPool, "_start", lambda *_: pytest.fail("a second machine booted"))
        with QemuPool(keep=True) as second, second.boot(blueprint) as machine:
            assert shell(machine, "cat /root/made").strip() == str(tmp_path)
            assert machine.stamp["clone"] is True
    finally:
        cache.remove(f"snapshots/{made}")


def test_container_in_a_machine(clone: Machine) -> None:
    script = """
        mkdir -p /tmp/b/rootfs/bin && cp /usr/bin/busybox /tmp/b/rootfs/bin/sh && cd /tmp/b && runc spec
        sed -i 's/"terminal": true/"terminal": false/; s/"readonly": true/"readonly": false/' config.json
        sed -i 's/"sh"/"sh", "-c", "echo inside"/' config.json
        runc run one
    """
    assert shell(clone, script) == "inside\n"


def test_machine_that_panics_is_diagnosed(pool: QemuPool) -> None:
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as machine:
        with pytest.raises(GuestError, match="Kernel panic") as caught:
            machine.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 100"], timeout=PATIENCE)
        assert "sysrq" in caught.value.diagnosis.console


def test_machine_that_does_not_boot_is_diagnosed(pool: QemuPool) -> None:
    with pytest.raises(BootError, match="Kernel panic"):
        pool.cold(Blueprint(kernel=KERNEL, memory=512, append="rdinit=/no/such/init init=/no/such/init"))


@pytest.mark.parametrize("mode", ["v1", "hybrid"])
def test_cgroup_mode(pool: QemuPool, mode: str) -> None:
    with pool.cold(Blueprint(kernel=KERNEL, cgroup=mode, memory=512)) as machine:
        mounts = shell(machine, "grep -c ' cgroup rw' /proc/mounts; grep -c ' cgroup2 rw' /proc/mounts || true").split()
    assert int(mounts[0]) > 5
    assert int(mounts[1]) == (1 if mode == "hybrid" else 0)


def test_command_line_feels_local(pool: QemuPool, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host")
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "vm", "run", "--kernel", KERNEL, "--memory", "512"]
    argv += ["--copy", f"{tmp_path / 'in'}:/tmp/in", "--get", f"/tmp/out:{tmp_path / 'out'}", "--"]
    argv += ["sh", "-c", "cat; cat /tmp/in | tee /tmp/out; echo told >&2; exit 9"]
    done = subprocess.run(argv, input="typed ", capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (9, "typed from the host", "told\n")
    assert (tmp_path / "out").read_text() == "from the host"
