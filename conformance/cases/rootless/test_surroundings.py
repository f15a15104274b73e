"""What an ordinary user's container sees and may write: /sys, /proc, cgroups, devices, masked paths."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.features.members import find
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.ordinary import OrdinaryRuntime, delegated
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.engine.checks import proper_refusal
from seatrial.conformance.engine.session import run_report

pytestmark = [needs("root", "userns", "program:nsenter"), profile("runc-compat")]
Hire = Callable[..., OrdinaryRuntime]


@covers("config-linux/default-filesystems/1", "config-linux/default-filesystems/2", "config-linux/readonly-paths/1")
def test_sys_and_proc(user: OrdinaryRuntime, mine: Bundle) -> None:
    """/proc is the container's, its dangerous parts are read-only; the host's /sys is there, and is read-only."""
    verbs = "touch /sys/x -- write /proc/sys/kernel/hostname x -- list /proc/scsi -- statfs /proc -- touch /dev/shm/x"
    found = run_report(user, mine.probe(verbs))
    errors = [verb.errno for verb in found.verbs]
    assert errors[0] in ("EROFS", "EACCES", "EPERM", "ENOENT")
    assert errors[1] in ("EROFS", "EACCES", "EPERM")
    assert errors[4] is None
    assert found.mount("/proc")["fstype"] == "proc"
    assert "ro" in found.mount_options("/sys")


@covers(*(f"config-linux/default-devices/{row}" for row in (1, 2, 5)))
def test_devices_are_the_hosts(user: OrdinaryRuntime, mine: Bundle) -> None:
    """The default devices are there and work, although the user can make no node; the host's own keep their owner."""
    before = os.stat("/dev/null")
    found = run_report(user, mine.probe("write /dev/null x -- open /dev/zero rdonly -- open /dev/urandom rdonly"))
    assert [verb.errno for verb in found.verbs] == [None] * 3
    entry = found.device("/dev/null")
    assert (entry["type"], entry["major"], entry["minor"]) == ("c", 1, 3)
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@covers("config-linux/masked-paths/1")
def test_masked_paths(user: OrdinaryRuntime, mine: Bundle) -> None:
    """Masked files read empty, masked directories are empty and cannot be written."""
    mine.file("hidden", "secret")
    mine.file("closed/inner", "secret")
    mine.linux["maskedPaths"] += ["/hidden", "/closed"]
    found = run_report(user, mine.probe("read /hidden -- list /closed -- touch /closed/x"))
    assert not found.verbs[0].value
    assert not found.verbs[1].value
    assert found.verbs[2].errno is not None


@pytest.fixture
def delegate(user: OrdinaryRuntime, runtime: Runtime) -> Iterator[list[str]]:
    """Gives the user a cgroup in each hierarchy, and starts its commands below them; their directories."""
    with delegated(f"st-user-{os.getpid()}", user.uid) as (tops, leaves):
        user.cgroups = leaves
        yield tops
        for container in user.containers:
            container.discard()
        user.cgroups = []


DELEGATED = [
    pytest.param("pids", id="v1", marks=needs("cgroup1", "cgroup:pids")),
    pytest.param("", id="v2", marks=needs("cgroup2")),
]


def below(container: Container, controller: str, tops: list[str]) -> str:
    """The container's cgroup in a hierarchy; AssertionError unless it is the user's."""
    directory = control_files.directory_of(container, controller or "cgroup")
    assert any(directory.startswith(top + "/") for top in tops), directory
    return directory


@pytest.mark.parametrize("controller", DELEGATED)
@covers("config-linux/cgroups-path/1", "runtime/delete/7")
def test_delegated_cgroup(user: OrdinaryRuntime, mine: Bundle, delegate: list[str], controller: str) -> None:
    """In a cgroup that is the user's (cgroups(7), "Delegation") the container gets one of its own, which is gone after
    delete, or stays where its caller is."""
    relative = os.path.relpath(delegate[-1], control_files.mount_point(controller or "cgroup") or cgroups.ROOT)
    if controller == "":
        mine.linux["cgroupsPath"] = f"/{relative}/{mine.name}"
    container = user.create(mine.probe("hold", report=False), check=False)
    if not container.created.ok:
        proper_refusal(container.created)
        pytest.skip("refused: the runtime makes no use of a cgroup that is not its systemd's")
    directory = below(container, controller, delegate)
    assert str(container.pid) in control_files.read(directory, "cgroup.procs").split()
    container.delete(force=True)
    if directory not in user.cgroups:
        assert not os.path.exists(directory)


@pytest.mark.parametrize("private", [True, False], ids=["own cgroup namespace", "host's cgroup namespace"])
@covers("config/linux-mount-options/ro")
def test_cgroups_cannot_be_written(user: OrdinaryRuntime, mine: Bundle, delegate: list[str], private: bool) -> None:
    """Below a read-only /sys/fs/cgroup nothing can be made or written, not even in the user's own cgroup, whatever the
    cgroup namespace (CVE-2023-25809)."""
    if private:
        mine.namespace("cgroup")
    places = [*cgroups.read_view().hierarchies(), *([] if private else delegate)]
    verbs = [f"mkdir {place}/st-made -- write {place}/cgroup.procs 1 -- list {place}" for place in places]
    found = run_report(user, mine.probe(" -- ".join(verbs)))
    assert [verb.args for verb in found.verbs if verb.verb != "list" and verb.ok] == []
    assert any(verb.ok for verb in found.verbs), "no cgroup hierarchy is to be seen"


@needs("features")
@covers("features-linux/cgroup/5")
def test_systemd_of_the_user_is_as_claimed(user: OrdinaryRuntime, mine: Bundle) -> None:
    """linux.cgroup.systemdUser false: --systemd-cgroup is an error; true: it is one as well for a user who has no
    systemd (features-linux.md#cgroup)."""
    if find(user.features(), "linux.cgroup.systemdUser") is None:
        pytest.skip("the runtime does not say linux.cgroup.systemdUser")
    user.prove_sane()
    mine.linux["cgroupsPath"] = f"user.slice:seatrial:{mine.name}"
    mine.linux["resources"] = {"pids": {"limit": 17}}
    mine.write()
    proper_refusal(user.command("--systemd-cgroup", "create", "--bundle", mine.path, mine.name))
    assert not user.state(mine.name).ok


@needs("command:spec")
@covers("config-linux/namespaces/7")
def test_example_config(user: OrdinaryRuntime, mine: Bundle) -> None:
    """`spec --rootless` writes a config that the user can run."""
    os.makedirs(mine.outside("example"), exist_ok=True)
    os.chown(mine.outside("example"), user.uid, user.uid)
    user.command("spec", "--rootless", "--bundle", mine.outside("example")).check()
    with open(mine.outside("example/config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["process"].update(terminal=False, args=["/probe", "report"])
    config["root"] = {"path": "rootfs", "readonly": True}
    mine.config = config
    result = user.run(mine)
    found = parse(result.stdout, result)
    assert found["ids"]["uid"] == [0, 0, 0, 0]
    assert "ro" in found.mount_options("/sys")


@covers("config-linux/namespaces/7")
def test_root_with_the_rootless_option(runtime: Runtime, bundle: Bundle) -> None:
    """root may say --rootless=true or false: with false nothing changes; the container runs either way."""
    runtime.prove_sane()
    bundle.linux["resources"] = {}
    del bundle.linux["cgroupsPath"]
    bundle.user_namespace().write()
    words = ("run", "--bundle", bundle.path, bundle.name)
    first = runtime.command("--rootless=false", *words)
    if not first.ok:
        proper_refusal(first)
        pytest.skip("the runtime has no --rootless")
    assert parse(first.stdout, first)["ids"]["uid"] == [0, 0, 0, 0]
    second = runtime.command("--rootless=true", *words)
    assert parse(second.check().stdout, second)["ids"]["uid"] == [0, 0, 0, 0]
