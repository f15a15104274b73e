"""config-linux.md#cgroups-path and #control-groups: where the container's cgroup is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding, RuntimeTimeout

Existing = Callable[[Bundle, str], str]
Make = Callable[[], Bundle]
ROW = "config-linux/cgroups-path/"
PATIENCE = 2.0  # seconds for a create that may hang in a frozen cgroup


def paths(container: Container) -> dict[str, str]:
    """Controller (or "" for v2) -> path of the container's process, of every hierarchy in the view."""
    view = cgroups.read_view()
    found = control_files.membership(container.pid)
    return {name: path for name, path in found.items() if name in view.v1 or (name == "" and view.v2 is not None)}


def limited(bundle: Bundle) -> dict[str, str]:
    """Ask for a limit of each usual controller in the view; which they are, and the file that shows each."""
    view = cgroups.read_view()
    offered = view.controllers()
    wanted = {
        "pids": ({"pids.limit": 41}, "pids.max", "pids.max"),
        "memory": ({"memory.limit": 64 << 20}, "memory.limit_in_bytes", "memory.max"),
        "cpu": ({"cpu.period": 70000, "cpu.quota": 35000}, "cpu.cfs_quota_us", "cpu.max"),
    }
    files = {}
    for name, (members, v1, v2) in wanted.items():
        if name in offered:
            put(bundle, members)
            files[name] = v2 if view.mode == "v2" else v1
    return files


@needs("root")
@covers(ROW + "3", ROW + "2")
def test_absolute_path_counts_from_the_mount_point(runtime: Runtime, bundle: Bundle) -> None:
    """/a is a below the mount point of every hierarchy with a limit (config-linux.md#cgroups-path)."""
    files = limited(bundle)
    bundle.linux["cgroupsPath"] = f"/{bundle.name}/leaf"
    container = runtime.create(bundle)
    view = cgroups.read_view()
    found = paths(container)
    used = {""} if view.mode == "v2" else {*files, "devices"} & set(view.v1)
    assert {name: found.get(name) for name in used} == dict.fromkeys(used, f"/{bundle.name}/leaf")


@needs("root")
@covers(ROW + "2", ROW + "4")
def test_relative_path_ends_the_path(runtime: Runtime, bundle: Bundle) -> None:
    """A relative path works, and is the end of the place that the runtime chose (config-linux.md#cgroups-path)."""
    files = limited(bundle)
    bundle.linux["cgroupsPath"] = f"{bundle.name}/leaf"
    container = runtime.create(bundle)
    found = paths(container)
    used = {""} if cgroups.read_view().mode == "v2" else set(files)
    assert {name: found.get(name, "").endswith(f"/{bundle.name}/leaf") for name in used} == dict.fromkeys(used, True)


@needs("root")
@pytest.mark.parametrize("slash", [pytest.param("/", id="absolute"), pytest.param("", id="relative")])
@covers(ROW + "5")
def test_same_path_leads_to_the_same_place(runtime: Runtime, make_bundle: Make, slash: str) -> None:
    """The same cgroupsPath is the same cgroup each time (config-linux.md#cgroups-path)."""
    first, second = make_bundle(), make_bundle()
    found = []
    for bundle in (first, second):
        bundle.linux["cgroupsPath"] = slash + first.name
        container = runtime.create(bundle)
        found.append(paths(container))
        container.remove()
    assert found[0] == found[1]


@needs("root", "cgroup:pids")
@covers(ROW + "1", ROW + "6")
def test_path_may_be_left_out(runtime: Runtime, make_bundle: Make) -> None:
    """Without cgroupsPath the runtime finds a place for each container, where limits hold
    (config-linux.md#cgroups-path)."""
    places = set()
    for limit in (41, 43):
        bundle = put(make_bundle(), {"pids.limit": limit})
        del bundle.linux["cgroupsPath"]
        container = runtime.create(bundle)
        assert control_files.value(container, "pids.max") == str(limit)
        places.add(control_files.path_of(container, "pids"))
    assert len(places) == 2


@needs("root")
@covers(ROW + "10")
def test_further_controllers_lead_to_the_same_place(runtime: Runtime, bundle: Bundle) -> None:
    """The process may be attached to more controllers than resources need: in each hierarchy it is at cgroupsPath, or
    where its caller is (config-linux.md#cgroups-path)."""
    bundle.linux["resources"] = {}
    callers = control_files.membership(os.getpid())
    wanted = f"/{bundle.name}"
    container = runtime.create(bundle)
    elsewhere = {name: path for name, path in paths(container).items() if path not in (wanted, callers[name])}
    assert elsewhere == {}
    if cgroups.read_view().mode == "v2":
        assert paths(container)[""] == wanted


@needs("root")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("../../{}", id="relative-climb"),
        pytest.param("/../../{}", id="absolute-climb"),
        pytest.param("/{}/../../../{}", id="inner-climb"),
        pytest.param("/{}\0x", id="nul"),
        pytest.param("/{}\nx", id="newline"),
    ],
)
@covers(ROW + "7")
def test_invalid_path_is_an_error_or_stays_below(runtime: Runtime, bundle: Bundle, text: str) -> None:
    """A path that leads out of the hierarchy, or that no file can have, is refused or kept inside
    (config-linux.md#cgroups-path)."""
    runtime.prove_sane()
    before = set(os.listdir(cgroups.ROOT))
    bundle.linux["cgroupsPath"] = text.replace("{}", bundle.name)
    container = runtime.create(bundle, check=False)
    try:
        if container.created.ok:
            climbed = {name: path for name, path in paths(container).items() if ".." in path.split("/")}
            assert not climbed
            directory = control_files.directories_of(container)
            assert str(container.pid) in control_files.read(next(iter(directory.values())), "cgroup.procs").split()
            container.remove()
        else:
            assert not container.created.crashed, container.created.describe()
            assert not runtime.knows(container.id)
        assert set(os.listdir(cgroups.ROOT)) == before
    finally:
        for name in set(os.listdir(cgroups.ROOT)) - before:
            os.rmdir(os.path.join(cgroups.ROOT, name))


@needs("root")
@covers(ROW + "8")
def test_missing_cgroups_are_made(runtime: Runtime, bundle: Bundle) -> None:
    """Every level of the path is made, and the leaf goes with the container (config-linux.md#cgroups-path)."""
    files = limited(bundle)
    bundle.linux["cgroupsPath"] = f"/{bundle.name}/a/b"
    container = runtime.create(bundle)
    leaves = [control_files.directory_of(container, name) for name in files] or [
        control_files.directories_of(container)[""]
    ]
    for leaf in leaves:
        assert leaf.endswith(f"/{bundle.name}/a/b")
        assert str(container.pid) in control_files.read(leaf, "cgroup.procs").split()
    container.remove()
    assert [leaf for leaf in leaves if os.path.exists(leaf)] == []


LIMITS = {
    False: {"pids.max": "77", "memory.limit_in_bytes": str(96 << 20), "cpu.shares": "777"},
    True: {"pids.max": "77", "memory.max": str(96 << 20), "cpu.weight": "77", "cgroup.max.depth": "7"},
}


@needs("root")
@pytest.mark.parametrize("resources", [pytest.param(None, id="absent"), pytest.param({}, id="empty")])
@covers(ROW + "9")
def test_limits_stay_without_resources(
    runtime: Runtime, bundle: Bundle, existing_cgroup: Existing, resources: dict[str, object] | None
) -> None:
    """Without resources, the limits of a cgroup that is there already stay (config-linux.md#cgroups-path)."""
    view = cgroups.read_view()
    offered = {*view.controllers(), "cgroup"}
    limits = {
        name: text for name, text in LIMITS[view.mode == "v2"].items() if control_files.controller_of(name) in offered
    }
    places = {}
    for name, text in limits.items():
        places[name] = existing_cgroup(bundle, control_files.controller_of(name))
        error = control_files.write(os.path.join(places[name], name), text)
        assert error is None, error
    if resources is None:
        del bundle.linux["resources"]
    else:
        bundle.linux["resources"] = resources
    container = runtime.create(bundle)
    assert {name: control_files.directory_of(container, control_files.controller_of(name)) for name in limits} == places
    assert {name: control_files.value(container, name) for name in limits} == limits


# -- cgroups that are not fit ------------------------------------------------------------------------------------------


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that does nothing."""
    process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


POPULATED = [
    pytest.param("pids", id="v1", marks=needs("cgroup1", "cgroup:pids")),
    pytest.param("", id="v2", marks=needs("cgroup2")),
]


@needs("root")
@pytest.mark.parametrize("controller", POPULATED)
@covers("config-linux/control-groups/1", "config-linux/control-groups/2")
def test_populated_cgroup_is_taken_or_left_alone(
    runtime: Runtime, bundle: Bundle, existing_cgroup: Existing, bystander: subprocess.Popen[bytes], controller: str
) -> None:
    """create into a cgroup with a process in it works, or is an error that leaves cgroup and process as they are
    (config-linux.md#control-groups)."""
    runtime.prove_sane()
    directory = existing_cgroup(bundle, controller)
    error = control_files.write(os.path.join(directory, "cgroup.procs"), str(bystander.pid))
    assert error is None, error
    try:
        container = runtime.create(bundle, check=False)
        if container.created.ok:
            return
        assert not container.created.crashed, container.created.describe()
        assert not runtime.knows(container.id)
        assert bystander.poll() is None, "the process in the cgroup was killed"
        assert control_files.read(directory, "cgroup.procs").split() == [str(bystander.pid)]
    finally:
        bystander.kill()
        bystander.wait()


FREEZERS = [
    pytest.param("freezer", "freezer.state", "FROZEN", "THAWED", id="v1", marks=needs("cgroup1", "cgroup:freezer")),
    pytest.param("", "cgroup.freeze", "1", "0", id="v2", marks=needs("cgroup2", "kernel>=5.2")),
]


@needs("root")
@pytest.mark.parametrize(("controller", "name", "frozen", "thawed"), FREEZERS)
@covers("config-linux/control-groups/1", "config-linux/control-groups/2")
def test_frozen_cgroup_is_taken_or_left_alone(
    runtime: Runtime, bundle: Bundle, existing_cgroup: Existing, controller: str, name: str, frozen: str, thawed: str
) -> None:
    """create into a frozen cgroup works, or is an error that leaves it frozen; it does not hang
    (config-linux.md#control-groups)."""
    runtime.prove_sane()
    path = os.path.join(existing_cgroup(bundle, controller), name)
    assert control_files.write(path, frozen) is None
    try:
        container = runtime.create(bundle, check=False, timeout=patience(PATIENCE))
        if container.created.ok:
            return
        assert not container.created.crashed, container.created.describe()
        assert not runtime.knows(container.id)
        assert control_files.read(os.path.dirname(path), name) == frozen
    except RuntimeTimeout as error:
        raise Finding(f"neither done nor refused: {error}") from error
    finally:
        if os.path.exists(path):
            control_files.write(path, thawed)
