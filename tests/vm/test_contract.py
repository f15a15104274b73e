"""The rest of the contract in a real machine: ports, modules, kernels of one's own, the warm test process, fixtures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from reachable import reachable_directory

from seatrial.conformance import machines
from seatrial.vm import cache
from seatrial.vm.image import base
from seatrial.vm.kernel import kernel as kernels
from seatrial.vm.machine import Blueprint, Machine
from seatrial.vm.qemu.pool import QemuPool, parts

KERNEL = "6.1"
PATIENCE = 900.0
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# For containers and for CRIU; built in or a module.
MODULES = (
    "overlay nf_tables veth tun loop fuse bridge unix_diag inet_diag tcp_diag udp_diag af_packet_diag netlink_diag"
).split()


SERVER = """
import socket
with socket.create_server(("127.0.0.1", 4711)) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    peer.sendall(peer.recv(64).upper())
    peer.close()
"""


def test_port_is_forwarded(clone: Machine) -> None:
    ready = threading.Event()
    command = clone.start(["python3", "-I", "-S", "-c", SERVER])
    hear = threading.Thread(target=command.wait, args=(PATIENCE, lambda _: ready.set(), lambda _: None), daemon=True)
    hear.start()
    assert ready.wait(PATIENCE)
    with socket.create_connection(clone.forward(4711), timeout=PATIENCE) as peer:
        peer.sendall(b"told")
        assert peer.recv(64) == b"TOLD"
        assert peer.recv(64) == b""
    hear.join(PATIENCE)


@pytest.mark.parametrize("module", MODULES)
def test_module_can_be_loaded(clone: Machine, module: str) -> None:
    done = clone.run(["modprobe", module], timeout=PATIENCE)
    assert done.status == 0, done.stderr
    found = clone.run(["sh", "-c", f"test -d /sys/module/{module} || modinfo -n {module}"], timeout=PATIENCE)
    assert found.status == 0
    assert found.stdout in (b"", b"(builtin)\n")


def test_kernel_of_a_path_with_modules_beside_it(pool: QemuPool, tmp_path: Path) -> None:
    packaged = kernels.resolve(KERNEL)
    (tmp_path / "lib/modules").mkdir(parents=True)
    (tmp_path / "lib/modules" / packaged.release).symlink_to(packaged.modules)
    image = shutil.copy(packaged.image, tmp_path / "vmlinuz")
    made = set()
    try:
        before = set(cache.sizes())
        with pool.cold(Blueprint(kernel=f"path:{image}", memory=512)) as machine:
            made = {name for name in set(cache.sizes()) - before if name.startswith("layers/")}
            assert machine.stamp["kernel"] == f"path:{image}"
            done = machine.run(["sh", "-c", "uname -r; modprobe veth && lsmod"], timeout=PATIENCE)
            assert done.stdout.split()[0].decode() == packaged.release
            assert b"veth" in done.stdout
        assert made
    finally:
        for name in made:
            cache.remove(name)


def machines_of_ours() -> set[int]:
    """Pids of our children that are QEMU."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            name, fields = (entry / "stat").read_text().rsplit(") ", 1)
        except OSError:  # no process, or one that has ended
            continue
        if "(qemu-system" in name and int(fields.split()[1]) == os.getpid():
            found.add(int(entry.name))
    return found


def test_spare_is_a_machine_of_its_own(pool: QemuPool) -> None:
    """With the time of now and a name that no other has; and none is left of a pool that is closed."""
    before, names, spare = machines_of_ours(), set(), []
    with QemuPool(spare=True) as spares:
        for memory in (512, 512, 512, 640):
            with spares.boot(Blueprint(kernel=KERNEL, memory=memory)) as machine:
                done = machine.run(
                    ["sh", "-c", "hostname; date +%s; cat /proc/sys/kernel/random/uuid"], timeout=PATIENCE
                )
                name, now, number = done.stdout.decode().split()
                names |= {name, number}
                assert abs(int(now) - time.time()) < 60
                spare.append("spare" in machine.stamp)
        assert machines_of_ours() - before  # one waits
    assert len(names) == 8
    assert spare == [False, True, True, False]
    assert machines_of_ours() - before == set()


def test_no_run_changes_the_image(pool: QemuPool) -> None:
    """Not by files, and not by writing to the devices that the layers lie on."""
    found = parts(Blueprint(kernel=KERNEL))
    before = [cache.file_digest(one.path) for one in found.layers]
    script = "for d in /dev/vd?; do dd if=/dev/zero of=$d bs=4096 count=1 conv=fsync; done; rm -rf /usr/lib/modules"
    with pool.boot(Blueprint(kernel=KERNEL, memory=512)) as machine:
        done = machine.run(["sh", "-c", script + "; ls /usr/lib/modules"], timeout=PATIENCE)
        assert done.status != 0
        assert done.stderr.count(b"Operation not permitted") + done.stderr.count(b"Read-only") >= len(before)
    assert [cache.file_digest(one.path) for one in found.layers] == before


def test_example_of_the_documentation(pool: QemuPool) -> None:
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "-p",
        "seatrial.vm.pytest_plugin",
        "-p",
        "no:cacheprovider",
    ]
    argv += ["--vm-required", os.path.join(ROOT, "docs/examples/machine-tests/test_machine.py")]
    done = subprocess.run(
        argv,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


@pytest.mark.slow
def test_warm_process_is_the_command_at_once(pool: QemuPool) -> None:
    """And it is `seatrial` in all respects: its own process group, terminal, status, output."""
    blueprint = Blueprint(
        kernel=KERNEL,
        image=machines.image(),
        layers={"harness": machines.layer()},
        setup=machines.setup(),
        warm=machines.warm(),
    )
    with pool.boot(blueprint) as machine:
        started = time.monotonic()
        done = machine.run(["seatrial", "--version"], timeout=PATIENCE)
        warm = time.monotonic() - started
        assert done.stdout.startswith(b"seatrial ")
        started = time.monotonic()
        assert machine.run(["/usr/local/bin/seatrial", "--version"], timeout=PATIENCE).stdout == done.stdout
        assert time.monotonic() - started > 1.5 * warm
        command = machine.start(["seatrial", "check", "--no-such-option"], terminal=(30, 120))
        said = bytearray()
        assert command.wait(PATIENCE, said.extend, said.extend) == 2
        assert b"--no-such-option" in said


@pytest.mark.slow
@pytest.mark.root
def test_image_of_an_ordinary_user_is_that_of_root(pool: QemuPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built twice, with root and without, from the same packages: the same bytes.  And it boots."""
    if os.geteuid() != 0:
        pytest.skip("root: to become another user")
    sailor = os.path.join(ROOT, "tests", "root", "ordinary_user.py")
    user = 600000 + os.getpid() % 100000
    digests = []
    with reachable_directory() as directory:
        for name in ("root", "sailor"):
            home = os.path.join(directory, name)
            place = os.path.join(home, ".cache", "seatrial", "vm")
            os.makedirs(place)
            shutil.copytree(cache.place("apt", ""), os.path.join(place, "apt"))
            code = "from seatrial.vm.image import base; print(base.build().path)"
            argv = [sys.executable, "-c", code]
            environment = {**os.environ, "XDG_CACHE_HOME": os.path.join(home, ".cache")}
            if name == "sailor":
                subprocess.run(["chown", "-R", f"{user}:{user}", home], check=True)
                ranges = f"{(user - 590000) * 65536}:65536"
                argv = [sys.executable, sailor, home, "--id", str(user), "--ranges", ranges, "--", *argv]
                environment.pop("XDG_CACHE_HOME")
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            digests.append(cache.file_digest(done.stdout.strip()))
        monkeypatch.setattr(base, "build", lambda *_: base.Layer("base-bookworm", done.stdout.strip(), digests[1]))
        with QemuPool(templates=False) as other, other.boot(Blueprint(kernel=KERNEL, memory=512)) as machine:
            shown = machine.run(["stat", "-c", "%U %a", "/usr/bin/mount", "/home/trial"], timeout=PATIENCE)
            assert shown.stdout.decode().split() == ["root", "4755", "trial", "755"]
    assert digests[0] == digests[1]
