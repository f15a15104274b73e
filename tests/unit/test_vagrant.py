"""The driver vagrant over a stand-in for the program: command lines, parameters, errors, snapshots."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from vagrant_program import Programs

from seatrial.vm import programs
from seatrial.vm.errors import BootError, GuestError, InfrastructureError, UnsupportedError
from seatrial.vm.machine import Blueprint, drivers
from seatrial.vm.machine import pool as pool_of
from seatrial.vm.vagrant import box, command, environment
from seatrial.vm.vagrant.machine import VagrantMachine
from seatrial.vm.vagrant.pool import VagrantPool

BLUEPRINT = Blueprint(memory=512, snapshot=False)
PATIENCE = 120.0


@pytest.fixture
def vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    made = Programs(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(environment, "PREFIX", f"{tmp_path}/environment-")
    for name in [name for name in os.environ if name.startswith("SEATRIAL_")]:
        monkeypatch.delenv(name)
    # A machine of this host has the cgroup mode that it has.
    monkeypatch.setattr("seatrial.vm.vagrant.machine.VagrantMachine.cgroup_mode", lambda machine: "v2")
    yield made
    assert glob.glob(f"{tmp_path}/environment-*") == []


def a_pool(**options: object) -> VagrantPool:
    return VagrantPool(box="some/box", accelerated="tcg", **options)  # type: ignore[arg-type]


def test_driver_is_found_by_name(vagrant: Programs) -> None:
    assert "vagrant" in drivers()
    with pool_of("vagrant", box="some/box") as made:
        assert isinstance(made, VagrantPool)


def test_machine_boots_runs_and_is_destroyed(vagrant: Programs, tmp_path: Path) -> None:
    with a_pool() as pool, pool.boot(BLUEPRINT) as machine:
        script = "cat; echo bad >&2; kill -9 $$"
        done = machine.run(["sh", "-c", script], stdin=b"typed", cwd="/tmp", timeout=PATIENCE)
        assert (done.status, done.stdout, done.stderr) == (-9, b"typed", b"bad\n")
        assert machine.run(["sh", "-c", "exit 7"], cwd="/tmp").status == 7
        with pytest.raises(FileNotFoundError):
            machine.run(["/no/such/program"], cwd="/tmp")
        with pytest.raises(TimeoutError):
            machine.run(["sleep", "100"], cwd="/tmp", timeout=0.2)
        (tmp_path / "file").write_text("carried")
        machine.copy_in(str(tmp_path / "file"), str(tmp_path / "there"))
        machine.copy_out(str(tmp_path / "there"), str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "carried"
        stamp = machine.stamp
    assert (stamp["driver"], stamp["provider"], stamp["box"], stamp["kernel"]) == (
        "vagrant",
        "libvirt",
        "some/box",
        "the box's",
    )
    assert stamp["release"] == os.uname().release
    assert vagrant.calls() == ["up --provider libvirt --no-provision", "ssh-config", "destroy --force"]


def test_parameters_reach_the_vagrantfile(vagrant: Programs) -> None:
    with a_pool(provider="virtualbox") as pool, pool.boot(Blueprint(memory=2048, cpus=2, snapshot=False)):
        pass
    assert vagrant.parameters("up") == {
        "SEATRIAL_BOX": "some/box",
        "SEATRIAL_MEMORY": "2048",
        "SEATRIAL_CPUS": "2",
        "SEATRIAL_ACCELERATOR": "tcg",
    }
    assert vagrant.calls()[0] == "up --provider virtualbox --no-provision"


def test_every_parameter_is_one_that_the_vagrantfile_knows(vagrant: Programs) -> None:
    with a_pool() as pool, pool.boot(BLUEPRINT):
        pass
    known = Path(environment.HERE, "Vagrantfile").read_text()
    for name in vagrant.parameters("up"):
        assert f'parameter("{name.removeprefix("SEATRIAL_")}"' in known, name


def test_box_in_another_cgroup_mode_is_provisioned(vagrant: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = iter(["v2", "hybrid"])
    monkeypatch.setattr("seatrial.vm.vagrant.machine.VagrantMachine.cgroup_mode", lambda machine: next(modes))
    with a_pool() as pool, pool.boot(Blueprint(cgroup="hybrid", snapshot=False)):
        assert vagrant.parameters("provision")["SEATRIAL_CGROUP"] == "hybrid"
    monkeypatch.setattr("seatrial.vm.vagrant.machine.VagrantMachine.cgroup_mode", lambda machine: "v2")
    with a_pool() as pool, pytest.raises(InfrastructureError, match="comes up with cgroup v2, not v1"):
        pool.boot(Blueprint(cgroup="v1", snapshot=False))
    assert vagrant.calls()[-1] == "destroy --force"


def test_second_machine_of_a_blueprint_is_a_snapshot_of_the_first(vagrant: Programs) -> None:
    blueprint = Blueprint(memory=512)
    with a_pool() as pool:
        with pool.boot(blueprint) as machine:
            assert machine.run(["true"], cwd="/tmp").status == 0
        with pool.boot(blueprint) as machine:
            assert machine.stamp["clone"] is True
            assert machine.run(["true"], cwd="/tmp").status == 0
    verbs = [call.partition(" --")[0] for call in vagrant.calls()]
    assert verbs == ["up", "ssh-config", "snapshot save", "snapshot restore", "destroy"]


def test_clones_of_a_snapshot_follow_one_another(vagrant: Programs) -> None:
    with a_pool() as pool:
        machine = pool.boot(BLUEPRINT)
        snapshot = machine.snapshot()
        with pytest.raises(UnsupportedError, match="one snapshot"):
            machine.snapshot()
        with pytest.raises(UnsupportedError, match="close the one before"):
            snapshot.clone()
        machine.close()
        assert "destroy --force" not in vagrant.calls()
        clone = snapshot.clone()
        snapshot.close()
        assert vagrant.calls()[-1] == "snapshot delete seatrial"
        assert clone.run(["true"], cwd="/tmp").status == 0
        clone.close()
    assert vagrant.calls()[-1] == "destroy --force"


def test_clone_that_refuses_its_first_connections_is_tried_again(vagrant: Programs) -> None:
    blueprint = Blueprint(memory=512)
    with a_pool() as pool:
        pool.boot(blueprint).close()
        vagrant.ssh("kex_exchange_identification: read: Connection reset by peer", times=2)
        with pool.boot(blueprint) as machine:
            assert machine.run(["true"], cwd="/tmp").status == 0


def test_clone_that_never_answers_tells_what_ssh_said(vagrant: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.vm.vagrant.machine.CONNECT_TIMEOUT", 3.0)
    blueprint = Blueprint(memory=512)
    with a_pool() as pool:
        pool.boot(blueprint).close()
        vagrant.ssh("ssh: connect to host 192.0.2.1 port 22: No route to host")
        with pytest.raises(BootError, match=r"No route to host, \d+ times"):
            pool.boot(blueprint)


def test_ssh_may_say_why_it_ended(vagrant: Programs) -> None:
    """The configuration that Vagrant gives has it say nothing."""
    with a_pool() as pool, pool.boot(BLUEPRINT) as machine:
        assert isinstance(machine, VagrantMachine)
        assert "LogLevel ERROR" in Path(machine.config).read_text()


def test_gateway_by_the_id_that_vagrant_knows(vagrant: Programs) -> None:
    with a_pool() as pool, pool.boot(BLUEPRINT) as machine:
        assert isinstance(machine, VagrantMachine)
        place = Path(machine.environment.directory, ".vagrant/machines/default/libvirt/index_uuid")
        place.write_text("0123456789abcdef\n")
        assert machine.vagrant_gateway("/python") == "vagrant_ssh=0123456//python=sudo /python"


def test_machine_that_does_not_boot_is_diagnosed(vagrant: Programs) -> None:
    words = "Timed out while waiting for the machine to boot. This means that"
    vagrant.fail("up", "Vagrant::Errors::VMBootTimeout", words, console="one\nKernel panic - not syncing: no init\n")
    with a_pool() as pool, pytest.raises(BootError, match="VMBootTimeout: Timed out while waiting") as caught:
        pool.boot(BLUEPRINT)
    assert "Kernel panic - not syncing: no init" in caught.value.diagnosis.console
    assert vagrant.calls()[-1] == "destroy --force"


def test_panic_ends_a_command_at_once(vagrant: Programs) -> None:
    """And is forgotten when the machine goes back to its snapshot, unlike its console log."""
    blueprint = Blueprint(memory=512)
    with a_pool() as pool:
        with pool.boot(blueprint) as machine:
            assert isinstance(machine, VagrantMachine)
            command = machine.start(["sleep", "1000"], cwd="/tmp")
            with open(machine.environment.parameters["console"], "a") as console:
                console.write("Kernel panic - not syncing: one\n")
            with pytest.raises(GuestError, match="Kernel panic - not syncing: one"):
                command.wait(PATIENCE, lambda _: None, lambda _: None)
        with pool.boot(blueprint) as machine:
            assert machine.run(["sleep", "2"], cwd="/tmp", timeout=PATIENCE).status == 0
            assert machine.diagnose("asked").verdict == "asked"


def test_panic_ends_the_wait_for_a_machine(vagrant: Programs) -> None:
    vagrant.answers["up"] = {"console": "Kernel panic - not syncing: VFS: no root\n", "seconds": 600}
    vagrant.write()
    with a_pool() as pool, pytest.raises(BootError, match="Kernel panic - not syncing: VFS: no root"):
        pool.boot(BLUEPRINT)
    assert vagrant.calls()[-1] == "destroy --force"


def test_machine_that_never_answers_is_given_up(vagrant: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant.answers["up"] = {"console": "Booting\n", "seconds": 600}
    vagrant.write()
    monkeypatch.setattr(environment, "BOOT_TIMEOUT", 3.0)
    with a_pool() as pool, pytest.raises(BootError, match="no answer within 3 s"):
        pool.boot(BLUEPRINT)


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        (
            "Vagrant::Errors::BoxAddShortNotFound",
            "The box 'some/box' could not be found",
            "seatrial vm build --format box",
        ),
        ("Vagrant::Errors::ProviderNotFound", "The provider 'libvirt' could not be found", "vagrant-libvirt"),
        (
            "VagrantPlugins::ProviderLibvirt::Errors::FogLibvirtConnectionError",
            "Error while connecting to Libvirt: no such file",
            "libvirtd -d",
        ),
        ("Vagrant::Errors::Unheard", "something else", "something else"),
    ],
)
def test_host_that_lacks_something_is_told_what(vagrant: Programs, kind: str, message: str, hint: str) -> None:
    vagrant.fail("up", kind, message, nothing=True)
    with a_pool() as pool, pytest.raises(InfrastructureError) as caught:
        pool.boot(BLUEPRINT)
    assert message in str(caught.value)
    assert hint in str(caught.value)
    assert "destroy --force" not in vagrant.calls()  # there is nothing


def test_box_without_python_is_not_a_boot_error(vagrant: Programs) -> None:
    vagrant.ssh("bash: line 1: python3: command not found")
    with (
        a_pool() as pool,
        pytest.raises(InfrastructureError, match=r"cannot run the agent: .*python3: command not found"),
    ):
        pool.boot(BLUEPRINT)
    vagrant.ssh("ssh: connect to host 192.0.2.1 port 22: Connection refused")
    with a_pool() as pool, pytest.raises(BootError, match="Connection refused"):
        pool.boot(BLUEPRINT)


def test_no_vagrant_is_told_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_path", lambda: "/nowhere")
    with pytest.raises(InfrastructureError, match="install the package vagrant"):
        VagrantPool()


def test_own_box_is_made_and_added_once(vagrant: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def build(blueprint: Blueprint, lock: object) -> tuple[str, str]:
        made.append(blueprint.cgroup)
        return "seatrial-x", "/cache/seatrial.box"

    monkeypatch.setattr(box, "build", build)
    with VagrantPool(accelerated="tcg") as pool:
        for mode in ("v2", "v2"):
            with pool.boot(Blueprint(cgroup=mode, snapshot=False)) as machine:
                assert machine.stamp["kernel"] == "debian:6.1-cloud"
    assert made == ["v2"]
    assert [call for call in vagrant.calls() if call.startswith("box")] == [
        "box list",
        "box add --name seatrial-x /cache/seatrial.box",
    ]
    assert vagrant.parameters("up")["SEATRIAL_CGROUP"] == "v2"  # our boxes are told before they boot
    assert "provision" not in [call.split()[0] for call in vagrant.calls()]


def test_machines_of_dead_processes_are_destroyed(vagrant: Programs, tmp_path: Path) -> None:
    left = tmp_path / "environment-left"
    (left / ".vagrant/machines/default/libvirt").mkdir(parents=True)
    (left / ".vagrant/machines/default/libvirt/id").write_text("x")
    (left / "owner").write_text(f"{os.getpid()} 1")
    assert environment.sweep() == [str(left)]
    assert vagrant.calls() == ["destroy --force"]


def test_machine_readable_lines() -> None:
    answer = command.parse("1,default,state,running\n2,,ui,info,a%!(VAGRANT_COMMA) b\\nc\nnoise\n")
    assert answer.fields("state") == [("running",)]
    assert answer.fields("ui") == [("info", "a, b\nc")]


def test_boot_loader_knows_every_mode() -> None:
    script = box.loader_script("hybrid")
    assert script.startswith('set words="systemd.unified_cgroup_hierarchy=0"\n')
    for mode, words in box.CGROUP_WORDS.items():
        assert f'if [ "$told" = "seatrial.cgroup={mode}" ]; then set words="{words}"; fi' in script


def test_partition_table_and_boot_loader(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(4 << 20))
    with open(path, "r+b") as disk:
        box.install_loader(disk.fileno(), b"B" * 512, b"C" * 5000)
    data = path.read_bytes()
    assert data[:440] == b"B" * 440
    assert data[510:5512] == b"\x55\xaa" + b"C" * 5000
    assert (data[446], data[450], data[454:462]) == (
        0x80,
        0x83,
        (2048).to_bytes(4, "little") + (6144).to_bytes(4, "little"),
    )
    with open(path, "r+b") as disk, pytest.raises(ValueError, match="does not fit"):
        box.install_loader(disk.fileno(), b"", bytes(2 << 20))
