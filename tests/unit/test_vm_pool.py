"""The contract as users of machines see it: drivers by name, blueprints, the fake driver, the cache, QEMU's argv."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from seatrial.vm import cache, programs
from seatrial.vm.drivers.fake import FakeMachine, FakePool
from seatrial.vm.errors import (
    BlueprintError,
    BootError,
    GuestError,
    InfrastructureError,
    MachineError,
    UnsupportedError,
)
from seatrial.vm.image import layer
from seatrial.vm.machine import Blueprint, Machine, drivers, pool
from seatrial.vm.qemu import arguments, template
from seatrial.vm.qemu.machine import QemuMachine


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_drivers_are_modules() -> None:
    assert {"fake", "qemu"} <= set(drivers())
    with pytest.raises(BlueprintError, match="fake"):
        pool("no-such-driver")


@pytest.mark.parametrize("wrong", [{"cgroup": "v3"}, {"memory": 1}, {"cpus": 0}])
def test_blueprints_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(BlueprintError):
        Blueprint(**wrong)  # type: ignore[arg-type]


def test_fake_machine_runs_and_copies(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in")
    with pool("fake") as machines, machines.boot(Blueprint(cgroup="v1")) as machine:
        machine.copy_in(str(tmp_path / "file"), "/file")
        done = machine.run(["sh", "-c", "cat file; exit 4"])
        machine.copy_out("/file", str(tmp_path / "back"))
        assert (done.status, done.stdout, machine.stamp["cgroup"]) == (4, b"in", "v1")
    assert (tmp_path / "back").read_text() == "in"


def test_snapshot_of_a_fake_machine() -> None:
    with pool("fake") as machines, machines.boot(Blueprint()) as machine:
        machine.run(["sh", "-c", "echo before >file"])
        with machine.snapshot() as snapshot:
            machine.run(["sh", "-c", "echo after >file"])
            with snapshot.clone() as first, snapshot.clone() as second:
                first.run(["sh", "-c", "echo first >file"])
                assert second.run(["cat", "file"]).stdout == b"before\n"
        assert machine.run(["cat", "file"]).stdout == b"after\n"


class WithoutSnapshots(FakeMachine):
    snapshot = Machine.snapshot


def test_driver_without_snapshots_says_so() -> None:
    machines = FakePool()
    with WithoutSnapshots(Blueprint(), machines) as machine, pytest.raises(UnsupportedError, match="fake"):
        machine.snapshot()


def test_failures_of_a_fake_machine() -> None:
    machines = FakePool(["boot", "panic"])
    with pytest.raises(BootError, match="panic"):
        machines.boot(Blueprint())
    machine = machines.boot(Blueprint())
    with pytest.raises(GuestError, match="panic"):
        machine.run(["true"])
    assert machine.run(["true"]).status == 0
    machines.close()


def break_off(path: str) -> None:
    with cache.building(path) as work:
        assert work is not None
        raise RuntimeError


def test_entry_is_whole_or_not_there() -> None:
    path = cache.place("layers", "one")
    with pytest.raises(RuntimeError):
        break_off(path)
    assert not os.path.exists(path)
    with cache.building(path) as work:
        assert work is not None
        Path(work, "file").write_text("x" * 10000)
    with cache.building(path) as work:
        assert work is None
    assert cache.sizes()["layers/one"] >= 10000


def test_collect_removes_what_is_old_or_half_built() -> None:
    for name, age in (("old", 1000), ("new", 0), (".building-x", 0)):
        path = cache.place("layers", name)
        os.mkdir(path)
        os.utime(path, (time.time() - age, time.time() - age))
    removed = {name for name, _ in cache.collect(500) if name.startswith("layers/")}
    assert removed == {"layers/old", "layers/.building-x"}
    assert list(cache.sizes()) == ["layers/new"]


def entry(name: str, size: int, age: float) -> str:
    path = cache.place("snapshots", name)
    os.mkdir(path)
    Path(path, "ram").write_bytes(b"x" * size)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_templates_are_kept_within_a_limit() -> None:
    for name, age in (("machine-old", 300), ("machine-middle", 200), ("machine-new", 100)):
        entry(name, 1 << 20, age)
    assert cache.keep_within("snapshots", 10 << 20) == []
    assert cache.keep_within("snapshots", 2 << 20, spared="machine-old") == ["snapshots/machine-middle"]
    assert sorted(cache.sizes()) == ["snapshots/machine-new", "snapshots/machine-old"]


def test_entry_in_use_is_not_removed() -> None:
    path = entry("machine-used", 10, 1000)
    with cache.locked(path, fcntl.LOCK_SH):
        assert not cache.remove("snapshots/machine-used")
        assert cache.keep_within("snapshots", 0) == []
        assert [name for name, _ in cache.collect(500) if name.startswith("snapshots/")] == []
    assert cache.remove("snapshots/machine-used")
    assert not os.path.exists(path)
    assert not os.path.exists(path + ".lock")


def test_entry_that_is_being_built_is_not_collected() -> None:
    path = cache.place("layers", "slow")
    with cache.building(path) as work:
        assert work is not None
        cache.collect(0)
        assert os.path.isdir(work)
    assert os.path.isdir(path)


def test_lock_of_a_removed_entry_is_taken_again() -> None:
    """Who waits for the lock of an entry that is removed meanwhile must not think that it holds it."""
    path = cache.place("layers", "gone")
    held = []

    def wait() -> None:
        with cache.locked(path):
            held.append(os.stat(path + ".lock").st_ino)

    with cache.locked(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.2)
        os.unlink(path + ".lock")
    waiter.join(60)
    assert len(held) == 1


def test_directory_of_a_dead_process_is_not_kept(tmp_path: Path) -> None:
    cache.mark(str(tmp_path))
    assert cache.alive(str(tmp_path))
    (tmp_path / "owner").write_text(f"{os.getpid()} 1")
    assert not cache.alive(str(tmp_path))


def test_layer_changes_with_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        layer.erofs, "pack", lambda tree, image, clamp: Path(image).write_text(repr(sorted(_files(tree))))
    )
    source = tmp_path / "source"
    (source / "__pycache__").mkdir(parents=True)
    (source / "a.py").write_text("1")
    first = layer.of_trees("x", {"/opt/x": str(source)})
    (source / "__pycache__/a.pyc").write_text("cache")
    assert layer.of_trees("x", {"/opt/x": str(source)}) == first
    (source / "a.py").write_text("2")
    second = layer.of_trees("x", {"/opt/x": str(source)})
    assert second.digest != first.digest
    assert "opt/x/__pycache__/a.pyc" in Path(second.path).read_text()


def _files(tree: str) -> list[str]:
    return [os.path.relpath(os.path.join(d, name), tree) for d, _, names in os.walk(tree) for name in names]


def test_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_path", lambda: "/nowhere")
    with pytest.raises(InfrastructureError, match="erofs-utils"):
        programs.find("mkfs.erofs")


def test_failing_program_tells_what_it_said() -> None:
    with pytest.raises(InfrastructureError, match="cannot try: sh ended with status 3\nbad"):
        programs.run(["sh", "-c", "echo bad >&2; exit 3"], "cannot try")


def drive(**more: object) -> list[str]:
    given: dict[str, object] = {
        "directory": "/d", "kernel": "k", "initramfs": "i", "layers": ("a,b", "c"), "cgroup": "v1",
        "memory": 512, "cpus": 1, "accelerator": "tcg",
    }  # fmt: skip
    return arguments.command(arguments.Drive(**(given | more)))  # type: ignore[arg-type]


@pytest.fixture
def qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments.programs, "find", lambda name: name)


@pytest.mark.usefixtures("qemu")
def test_command_line_under_emulation() -> None:
    argv = drive()
    assert argv[argv.index("-accel") + 1] == "tcg,thread=single"
    assert "if=none,id=layer0,format=raw,readonly=on,file=a,,b" in argv
    assert "seatrial.cgroup=v1 seatrial.layers=2" in argv[argv.index("-append") + 1]


@pytest.mark.usefixtures("qemu")
def test_memory_of_templates_and_clones() -> None:
    assert "memory-backend-file,id=ram,size=512M,mem-path=r,share=on" in drive(ram="r", share=True)
    clone = drive(ram="r", incoming=True)
    assert "memory-backend-file,id=ram,size=512M,mem-path=r,share=off" in clone
    assert clone[-2:] == ["-incoming", "defer"]


@pytest.mark.usefixtures("qemu")
def test_memory_has_one_name_in_all_machines() -> None:
    """Or the state of a machine that booted could not be taken by a clone."""
    for argv in (drive(), drive(ram="r")):
        assert argv[argv.index("-machine") + 1] == "q35,memory-backend=ram"
        assert ",id=ram,size=512M" in argv[argv.index("-object") + 1]


def test_template_belongs_to_a_program_and_to_all_of_a_blueprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu"
    program.write_text("one")
    monkeypatch.setattr(template.programs, "find", lambda name: str(program))
    parts = {"memory": 512, "cgroup": "v2"}
    found = [template.key("content", parts, Blueprint())]
    found.append(template.key("other content", parts, Blueprint()))
    found.append(template.key("content", {**parts, "memory": 513}, Blueprint()))
    found.append(template.key("content", parts, Blueprint(setup="true")))
    found.append(template.key("content", parts, Blueprint(warm="true")))
    assert found[0] == template.key("content", parts, Blueprint())
    program.write_text("another version")
    found.append(template.key("content", parts, Blueprint()))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'no such accelerator' >&2; exit 1", InfrastructureError),
        ("for w; do case $w in file:*) echo 'Kernel panic - not syncing: no init' >${w#file:};; esac; done", BootError),
    ],
)
def test_program_that_does_not_start_is_not_a_kernel_that_does_not_boot(
    script: str, error: type[MachineError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    find = programs.find
    monkeypatch.setattr(arguments.programs, "find", lambda name: str(program) if "qemu" in name else find(name))
    machine = QemuMachine(Blueprint(), {})
    with machine:
        machine.launch(kernel="k", initramfs="i", layers=(), cgroup="v2", memory=512, cpus=1, accelerator="tcg")
        assert machine.process is not None
        machine.process.wait(60)
        with pytest.raises(error, match=r"no such accelerator|Kernel panic"):
            machine.attach(5.0, warm=False)
    assert not os.path.exists(machine.directory)
