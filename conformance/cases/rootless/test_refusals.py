"""What the kernel does not let an ordinary user have: refused properly, never half done, and never by more rights."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.ordinary import OrdinaryRuntime
from seatrial.conformance.engine.checks import proper_refusal, rejected

pytestmark = [needs("root", "userns", "program:nsenter"), profile("runc-compat")]
Hire = Callable[..., OrdinaryRuntime]


def mapping(container: int, host: int, size: int) -> dict[str, int]:
    return {"containerID": container, "hostID": host, "size": size}


def without_user_namespace(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.without_namespace("user")
    del bundle.linux["uidMappings"], bundle.linux["gidMappings"]


def foreign_id(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.linux["uidMappings"] = [mapping(0, user.uid + 1, 1)]


def root_of_the_host(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.linux["uidMappings"] = [mapping(0, 0, 1)]
    bundle.linux["gidMappings"] = [mapping(0, 0, 1)]


def thousands(bundle: Bundle, user: OrdinaryRuntime) -> None:
    """More than 64 KiB as a netlink attribute (CVE-2021-43784)."""
    bundle.linux["uidMappings"] = [mapping(number, user.uid + number, 1) for number in range(6000)]


def unmapped_user(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.process["user"] = {"uid": 7, "gid": 0}


def unmapped_group(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.process["user"]["additionalGids"] = [7]


def device_node(bundle: Bundle, user: OrdinaryRuntime) -> None:
    bundle.linux["devices"] = [{"path": "/dev/seatrial-none", "type": "c", "major": 4000, "minor": 77}]


MAPPINGS = "config-linux/user-namespace-mappings/"
ASKED: dict[str, tuple[Callable[[Bundle, OrdinaryRuntime], None], str]] = {
    "without a user namespace": (without_user_namespace, "config-linux/namespaces/15"),
    "somebody else's id": (foreign_id, MAPPINGS + "4"),
    "root's id": (root_of_the_host, MAPPINGS + "4"),
    "6000 mappings": (thousands, MAPPINGS + "7"),
    "user that is not mapped": (unmapped_user, "config/posix-platform-user/1"),
    "group that is not mapped": (unmapped_group, "config/posix-platform-user/5"),
    "device that the host lacks": (device_node, "config-linux/devices/1"),
}


@pytest.mark.parametrize("ask", [pytest.param(ask, id=name, marks=covers(row)) for name, (ask, row) in ASKED.items()])
def test_is_refused(user: OrdinaryRuntime, mine: Bundle, ask: Callable[[Bundle, OrdinaryRuntime], None]) -> None:
    """The container is refused by create or start, and there is none afterwards."""
    ask(mine, user)
    rejected(user, mine, by="start")


@covers(*(f"config/linux-mount-options/{word}" for word in ("suid", "dev", "exec")))
def test_locked_flags_are_not_taken_off(user: OrdinaryRuntime, mine: Bundle) -> None:
    """A bind mount that is asked to drop nosuid, nodev and noexec of its source is refused, or keeps them
    (mount_namespaces(7))."""
    user.prove_sane()
    mine.mount("/mnt", "bind", user.quarters.locked, "bind", "suid", "dev", "exec")
    container = user.create(mine, check=False)
    if not container.created.ok:
        proper_refusal(container.created)
        return
    assert {"nosuid", "nodev", "noexec"} <= options_of(container.pid, "/mnt")


@covers("config/linux-mount-options/ro")
def test_read_only_bind_of_a_locked_mount(user: OrdinaryRuntime, mine: Bundle) -> None:
    """[bind, ro] of a source with nosuid, nodev and noexec works, and adds ro to them (runc 2576, 3283)."""
    mine.mount("/mnt", "bind", user.quarters.locked, "bind", "ro")
    container = user.create(mine)
    assert {"ro", "nosuid", "nodev", "noexec"} <= options_of(container.pid, "/mnt")


@covers("config-linux/default-filesystems/2")
def test_sysfs_of_the_hosts_network(user: OrdinaryRuntime, mine: Bundle) -> None:
    """sysfs without a network namespace of its own, which the kernel does not let a user mount: refused, or the host's
    in its place, read-only as it was asked for."""
    user.prove_sane()
    mine.without_namespace("network").without_mount("/sys/fs/cgroup").without_mount("/sys")
    mine.mount("/sys", "sysfs", "sysfs", "ro", "nosuid")
    container = user.create(mine, check=False)
    if not container.created.ok:
        proper_refusal(container.created)
        return
    assert {"ro", "nosuid"} <= options_of(container.pid, "/sys")


def options_of(pid: int, target: str) -> set[str]:
    """Per-mount options of the topmost mount on a target of a container."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        found = [line.split()[5] for line in file if line.split()[4] == target]
    return {*found[-1].split(",")}


@needs("cgroup:pids")
@covers("config/valid-values/2")
def test_limit_without_a_cgroup_is_an_error(user: OrdinaryRuntime, mine: Bundle) -> None:
    """Where the user has no cgroup of its own a limit cannot hold: an error, not a container without the limit."""
    mine.linux["resources"] = {"pids": {"limit": 17}}
    mine.linux["cgroupsPath"] = f"/{mine.name}"
    rejected(user, mine, by="start")


@covers("config-linux/cgroups-path/1")
def test_without_a_cgroup_it_stays_where_it_is(user: OrdinaryRuntime, runtime: Runtime, mine: Bundle) -> None:
    """Without limits and cgroupsPath the container runs in the cgroups that its caller is in."""
    container = user.create(mine.probe("hold", report=False))
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file, open("/proc/self/cgroup") as own:
        assert file.read() == own.read()
    assert cgroups.read_view().mode != "none"


@covers("config-linux/control-groups/2")
def test_cgroup_that_the_user_may_not_make(user: OrdinaryRuntime, mine: Bundle) -> None:
    """A cgroupsPath alone, without a limit: refused, or the container runs where its caller is."""
    user.prove_sane()
    mine.linux["cgroupsPath"] = f"/{mine.name}"
    container = user.create(mine.probe("hold", report=False), check=False)
    if not container.created.ok:
        proper_refusal(container.created)
        return
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file, open("/proc/self/cgroup") as own:
        assert file.read() == own.read()
