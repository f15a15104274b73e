"""Where `exec` puts the process: the container's cgroups and namespaces."""

from __future__ import annotations

import os

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import at_first, executed, held, in_view, inits
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Runtime

pytestmark = [needs("exec"), profile("runc-compat")]

ROW = "config-linux/cgroups-path/"


@needs("root")
@covers(ROW + "3")
def test_first_instruction_is_in_the_containers_cgroups(runtime: Runtime, bundle: Bundle) -> None:
    """From its first instruction on the process is where the container's init is, in every hierarchy: what runs
    elsewhere escapes the limits."""
    bundle.without_namespace("cgroup")
    container = held(runtime, bundle)
    wanted = inits(container)
    assert in_view(at_first(executed(container))) == wanted
    assert any(path.endswith(bundle.name) for path in wanted.values())


@needs("root", "cgroup2")
@covers(ROW + "3")
def test_an_init_that_has_moved_down_is_followed(runtime: Runtime, bundle: Bundle) -> None:
    """Where the container hands its controllers to children, its own cgroup takes no process (cgroups(7), "no internal
    processes"): the new process is put where init is."""
    view = cgroups.read_view()
    if view.mode != "v2" or view.v2 is None or "hugetlb" not in view.controllers():
        pytest.skip("needs a v2 view with a domain controller to hand on")
    bundle.without_namespace("cgroup")
    container = held(runtime, bundle)
    top = view.v2 + inits(container)[""]
    with open(os.path.join(top, "cgroup.controllers"), encoding="ascii") as file:
        controllers = file.read().split()
    if not controllers:
        pytest.skip("the runtime enables no controller for the container")
    os.mkdir(os.path.join(top, "leaf"))
    with open(os.path.join(top, "leaf/cgroup.procs"), "w", encoding="ascii") as file:
        file.write(str(container.pid))
    with open(os.path.join(top, "cgroup.subtree_control"), "w", encoding="ascii") as file:
        file.write(f"+{controllers[0]}")
    assert in_view(at_first(executed(container))) == inits(container)


@needs("root")
@covers(ROW + "3")
@pytest.mark.parametrize("out", ["..", "../{name}-sibling", "/../{name}-sibling", "sub/../../{name}-sibling"])
def test_a_cgroup_beside_the_containers_is_out_of_reach(runtime: Runtime, bundle: Bundle, out: str) -> None:
    """--cgroup stays below the container's cgroup, whatever dots and names it is made of (runc 3403)."""
    container = held(runtime, bundle)
    view = cgroups.read_view()
    name, path = next((name, path) for name, path in inits(container).items() if path.endswith(bundle.name))
    mount_point = view.v1[name] if name else view.v2
    assert mount_point is not None
    top = mount_point + path
    sibling = f"{top}-sibling"
    os.mkdir(sibling)
    os.mkdir(os.path.join(top, "sub"))
    try:
        option = (f"{name}:" if name else "") + out.format(name=bundle.name)
        good = (f"{name}:" if name else "") + "sub"
        assert executed(container, cgroup=good)["pid"] > 0  # the option is known
        result = container.exec(PROBE, "exit", "0", check=False, cgroup=option)
        assert not result.ok, result.describe()
    finally:
        os.rmdir(os.path.join(top, "sub"))
        os.rmdir(sibling)


@needs("root")
@covers(ROW + "3")
def test_a_cgroup_below_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    """--cgroup SUB on v2, CONTROLLER:SUB on v1: the process is there from its first instruction on, and in every other
    hierarchy where init is; one that does not exist is an error."""
    bundle.without_namespace("cgroup")
    container = held(runtime, bundle)
    view = cgroups.read_view()
    wanted = inits(container)
    chosen = "" if view.mode == "v2" else "memory"
    if chosen not in wanted:
        pytest.skip("needs the memory controller")
    mount_point = view.v1[chosen] if chosen else view.v2
    assert mount_point is not None
    directory = os.path.join(mount_point + wanted[chosen], "sub")
    os.mkdir(directory)
    prefix = f"{chosen}:" if chosen else ""
    try:
        found = in_view(at_first(executed(container, cgroup=prefix + "sub")))
        below = wanted[chosen] + "/sub"
        # Controllers that are mounted together are one hierarchy.
        assert found == {name: below if view.v1.get(name) == view.v1.get(chosen) else wanted[name] for name in wanted}
        result = container.exec(PROBE, "exit", "0", check=False, cgroup=prefix + "missing")
        assert not result.ok, result.describe()
        assert not os.path.exists(os.path.join(os.path.dirname(directory), "missing"))
    finally:
        os.rmdir(directory)


@needs("root", "cgroup2")
@covers(ROW + "3")
def test_an_init_whose_first_cgroup_is_gone(runtime: Runtime, bundle: Bundle) -> None:
    """Somebody moved init elsewhere and removed the cgroup that create had made: the new process is put where init is
    (runc 5101)."""
    view = cgroups.read_view()
    if view.mode != "v2" or view.v2 is None:
        pytest.skip("needs a v2 view")
    bundle.without_namespace("cgroup")
    container = held(runtime, bundle)
    old = view.v2 + inits(container)[""]
    new = f"{old}-moved"
    os.mkdir(new)
    try:
        with open(os.path.join(new, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(container.pid))
        os.rmdir(old)
        assert in_view(at_first(executed(container))) == inits(container)
    finally:
        container.kill("KILL", check=False)
        container.wait()
        os.rmdir(new)


@covers(*(f"config-linux/namespaces/{row}" for row in (2, 3, 4, 5, 6, 8)))
def test_namespaces_are_those_of_init(runtime: Runtime, bundle: Bundle) -> None:
    """The process is in every namespace of the container's init, and leads a session of its own there."""
    container = held(runtime, bundle)
    report = executed(container)
    seen = {
        type: int(os.readlink(f"/proc/{container.pid}/ns/{type}").partition("[")[2][:-1])
        for type in ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup")
    }
    assert {type: report["namespaces"][type] for type in seen} == seen
    assert report["pid"] != 1
    assert report["sid"] == report["pid"]


@needs("root", "userns")
@covers("config-linux/namespaces/7")
def test_the_user_namespace_too(runtime: Runtime, bundle: Bundle) -> None:
    """With a user namespace the process is root there, and nobody outside."""
    container = held(runtime, bundle.user_namespace())
    report = executed(container)
    assert report["namespaces"]["user"] == int(os.readlink(f"/proc/{container.pid}/ns/user").partition("[")[2][:-1])
    assert report["ids"]["uid"] == [0] * 4
    assert report["uid_map"].split() == ["0", "100000", "65536"]
