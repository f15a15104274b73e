"""Tests that run in disposable machines.  `pip install seatrial` brings the fixtures:

pytest test_machine.py                                        on the default kernel, cgroup v2
pytest test_machine.py --vm-kernel 5.10 --vm-kernel 6.12      each test on both
"""

from pathlib import Path

import pytest


def test_kernel(vm):
    """`vm` is a fresh machine for each test."""
    done = vm.run(["uname", "-r"])
    assert done.status == 0
    assert done.stdout.decode().strip() == vm.stamp["release"]


@pytest.mark.vm(cgroup=["v1", "v2"])
def test_in_each_cgroup_mode(vm, cgroup_mode):
    """The mark says what the test needs: it runs once in each mode, whatever the command line says."""
    assert vm.stamp["cgroup"] == cgroup_mode


@pytest.mark.vm(memory=512, setup="echo ready >/tmp/seatrial-example")
def test_files(vm, tmp_path: Path):
    """`setup` runs once; the machine that it made is what each test begins with."""
    (tmp_path / "input").write_text("3\n1\n2\n")
    vm.copy_in(str(tmp_path / "input"), "/root/input")
    done = vm.run(["sh", "-c", "sort input >output"], timeout=60)
    assert done.status == 0, done.stderr
    vm.copy_out("/root/output", str(tmp_path / "output"))
    assert (tmp_path / "output").read_text() == "1\n2\n3\n"


def test_what_an_earlier_test_left(vm):
    assert vm.run(["test", "-e", "/root/output"]).status == 1
