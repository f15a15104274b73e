"""A container in a container, made by the same runtime: namespaces, exec, cgroups and limits, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import wait_pidfd
from seatrial.conformance.driver.nesting import NestedRuntime, descendants
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.engine.session import run_report

pytestmark = [needs("root", "exec"), profile("runc-compat")]
NAMESPACES = ("pid", "mnt", "net", "ipc", "uts")
ROOT = "/sys/fs/cgroup"


def running(inner: NestedRuntime, bundle: Bundle) -> Container:
    """An inner container whose program waits."""
    container = inner.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    return container


def mounts(pid: int) -> list[str]:
    """The mount points that a process sees."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return sorted(line.split(" ", 5)[4] for line in file)


@covers("config-linux/namespaces/14", "runtime/lifecycle/1", "runtime/create/7")
def test_namespaces_are_of_the_inner_container(inner: NestedRuntime, small: Bundle) -> None:
    """Its namespaces are neither the outer container's nor ours, and it sees no process but its own; the outer
    container's mounts stay as they are."""
    before = mounts(inner.outer.pid)
    container = inner.create(small.probe("list /proc -- hold"))
    assert container.status() == "created"
    container.start()
    found: Report = parse(container.wait_output('"verb":"hold"'), container.created)
    for name in NAMESPACES:
        ours, theirs = (os.stat(f"/proc/{pid}/ns/{name}").st_ino for pid in ("self", inner.outer.pid))
        assert found.namespace(name) == os.stat(f"/proc/{container.pid}/ns/{name}").st_ino
        assert found.namespace(name) not in (ours, theirs)
    assert [name for name in found.verb("list").value if name.isdigit()] == ["1"]
    assert found["uts"]["nodename"] == "seatrial"
    assert mounts(inner.outer.pid) == before


@covers("config/process/14")
def test_exec_in_the_inner_container(inner: NestedRuntime, small: Bundle) -> None:
    """exec there joins the inner container, and its status comes all the way out."""
    container = running(inner, small)
    result = container.exec(PROBE, "report", "--", "exit", "9", check=False)
    assert result.status == 9, result.describe()
    found = parse(result.stdout, result)
    for name in NAMESPACES:
        assert found.namespace(name) == os.stat(f"/proc/{container.pid}/ns/{name}").st_ino


@covers("runtime/delete/7", "runtime/delete/8", "runtime/kill/5")
def test_inner_delete_leaves_nothing(inner: NestedRuntime, small: Bundle) -> None:
    """After kill and delete the outer container is as it was: processes, mounts, cgroups, state."""

    def look() -> tuple[set[int], list[str], list[str], list[str]]:
        places = control_files.directories_of(inner.outer).values()
        below = sorted(path for place in places for path, _, _ in os.walk(place))
        return descendants(inner.outer), mounts(inner.outer.pid), below, os.listdir(inner.root)

    before = look()
    container = running(inner, small)
    pid = container.pid
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    after = look()
    assert pid not in after[0]
    assert after[1:] == before[1:]
    assert inner.outer.status() == "running"


@covers("runtime/delete/7", "runtime/lifecycle/25")
def test_outer_delete_ends_the_inner_container(runtime: Runtime, inner: NestedRuntime, small: Bundle) -> None:
    """With an inner container running, `delete --force` of the outer one leaves no process and no cgroup of either."""
    container = running(inner, small)
    places = control_files.directories_of(container)
    descriptor = os.pidfd_open(container.pid)
    try:
        inner.outer.delete(force=True)
        assert wait_pidfd(descriptor, 5), "the inner container still runs"
    finally:
        os.close(descriptor)
    own = f"/{inner.outer.bundle.name}"
    assert [path for path in places.values() if own in path and os.path.exists(path)] == []


PLACES = [
    pytest.param("pids", id="v1", marks=needs("cgroup1", "cgroup:pids")),
    pytest.param("", id="v2", marks=needs("cgroup2")),
]


@pytest.mark.parametrize("controller", PLACES)
@covers("config-linux/cgroups-path/3")
def test_inner_cgroup_is_below_the_outer(inner: NestedRuntime, small: Bundle, controller: str) -> None:
    """cgroupsPath counts from the root that the outer container's cgroup namespace shows: the inner cgroup is below
    the outer one."""
    container = running(inner, small)
    key = controller or "cgroup"
    theirs = control_files.directory_of(inner.outer, key)
    assert control_files.directory_of(container, key) == f"{theirs}/{small.name}"


@needs("cgroup1", "cgroup:pids", "cgroup:memory")
@covers("config-linux/pids/2", "config-linux/memory/3")
def test_limits_add_up(outer_bundle: Bundle, nest: Callable[[], NestedRuntime]) -> None:
    """The inner container has its own limits, and those of the outer one hold over it: it cannot have more."""
    outer_bundle.linux["resources"].update(pids={"limit": 150}, memory={"limit": 512 << 20})
    inner = nest()
    small = inner.workshop.bundle()
    small.linux["resources"].update(pids={"limit": 1000}, memory={"limit": 64 << 20})
    container = running(inner, small)
    assert control_files.value(container, "pids.max") == "1000"
    assert control_files.value(container, "memory.limit_in_bytes") == str(64 << 20)
    assert control_files.value(inner.outer, "pids.max") == "150"
    other = inner.workshop.bundle()
    other.linux["resources"]["pids"] = {"limit": 1000}
    found = run_report(inner, other.probe("fork 200"))
    assert found.verb("fork").errno == "EAGAIN"


@needs("cgroup2", "cgroup:hugetlb")
@covers("config-linux/huge-page-limits/3", "config-linux/cgroups-path/3")
def test_limits_in_an_outer_cgroup_with_controllers(
    runtime: Runtime, outer_bundle: Bundle, nest: Callable[[], NestedRuntime]
) -> None:
    """The outer container has moved its processes aside and passes its controllers on (cgroups(7), "no internal
    processes"): exec still gets in, beside them, and the inner limit holds (runc issue 2356)."""
    inner = nest()
    outer = inner.outer
    passed_on(outer)
    small = inner.workshop.bundle()
    size = f"{2 << 20 >> 20}MB"
    small.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 4 << 20}]
    container = running(inner, small)
    assert control_files.value(container, f"hugetlb.{size}.max") == str(4 << 20)
    top = os.path.dirname(control_files.directory_of(outer, "hugetlb"))
    assert control_files.directory_of(container, "hugetlb").startswith(top + "/")


def passed_on(outer: Container) -> None:
    """The outer container moves its processes aside and passes every controller on (cgroups(7))."""
    steps = f"mkdir {ROOT}/init && echo 1 > {ROOT}/init/cgroup.procs && echo 0 > {ROOT}/init/cgroup.procs"
    steps += f" && for name in $(cat {ROOT}/cgroup.controllers); do echo +$name > {ROOT}/cgroup.subtree_control; done"
    outer.exec("/bin/sh", "-c", steps)


@needs("cgroup2", "cgroup:pids", "cgroup:memory")
@covers("config-linux/pids/2", "config-linux/memory/3")
def test_limits_add_up_on_v2(outer_bundle: Bundle, nest: Callable[[], NestedRuntime]) -> None:
    """As test_limits_add_up, where the outer container passes its controllers on."""
    outer_bundle.linux["resources"].update(pids={"limit": 150}, memory={"limit": 512 << 20})
    inner = nest()
    passed_on(inner.outer)
    small = inner.workshop.bundle()
    small.linux["resources"].update(pids={"limit": 1000}, memory={"limit": 64 << 20})
    container = running(inner, small)
    assert control_files.value(container, "pids.max") == "1000"
    assert control_files.value(container, "memory.max") == str(64 << 20)
    other = inner.workshop.bundle()
    other.linux["resources"]["pids"] = {"limit": 1000}
    assert run_report(inner, other.probe("fork 200")).verb("fork").errno == "EAGAIN"


FILTER = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}],
}


@needs("seccomp")
@covers("config-linux/seccomp/1")
def test_outer_filter_holds_inside(outer_bundle: Bundle, nest: Callable[[], NestedRuntime]) -> None:
    """A system call that the outer container's filter refuses is refused in the inner one, which has a filter more."""
    outer_bundle.linux["seccomp"] = FILTER
    inner = nest()
    small = inner.workshop.bundle()
    small.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }
    found = run_report(inner, small.probe("syscall acct 0 -- syscall swapoff 0"))
    assert [verb.errno for verb in found.verbs] == ["EBADFD", "ENOSYS"]
    assert found["seccomp"]["filters"] is None or found["seccomp"]["filters"] >= 2


@needs("apparmor")
@covers("config/linux-process/1")
def test_outer_profile_holds_inside(outer_bundle: Bundle, nest: Callable[[], NestedRuntime], profile: str) -> None:
    """An inner container without a profile of its own stays under the AppArmor profile of the outer one."""
    outer_bundle.process["apparmorProfile"] = profile
    inner = nest()
    small = inner.workshop.bundle()
    small.file("denied", "secret")
    found = run_report(inner, small.probe("read /denied"))
    assert found["lsm"]["current"].split()[0] == profile
    assert found.verb("read").errno == "EACCES"


def in_a_user_namespace(bundle: Bundle) -> None:
    """The outer container without privilege over the host: no rules for devices, no cgroup of its own to write to."""
    bundle.user_namespace(size=131072)
    os.chown(bundle.outside("nest"), 100000, 100000)


@needs("userns")
@pytest.mark.parametrize("own", [False, True], ids=["outer user namespace", "user namespace of its own"])
@covers("config-linux/namespaces/7", "config-linux/user-namespace-mappings/1")
def test_inside_a_user_namespace(outer_bundle: Bundle, nest: Callable[[], NestedRuntime], own: bool) -> None:
    """Root of a user namespace runs containers, also with a user namespace inside its own: their processes have the
    outer mapping's ids outside."""
    in_a_user_namespace(outer_bundle)
    inner = nest()
    small = inner.workshop.bundle()
    for directory, _, files in os.walk(small.rootfs):
        os.lchown(directory, 100000, 100000)
        for name in files:
            if name != "probe":
                os.lchown(os.path.join(directory, name), 100000, 100000)
    os.chown(inner.root, 100000, 100000)
    del small.linux["cgroupsPath"]
    first = 0
    if own:
        small.namespace("user")
        first = 1000
        mapping = [{"containerID": 0, "hostID": first, "size": 65536}]
        small.linux["uidMappings"], small.linux["gidMappings"] = mapping, [dict(entry) for entry in mapping]
        os.chmod(inner.root, 0o711)
        for directory, _, _ in os.walk(small.rootfs):
            os.lchown(directory, 100000 + first, 100000 + first)
    container = running(inner, small)
    assert os.stat(f"/proc/{container.pid}").st_uid == 100000 + first
    same = os.stat(f"/proc/{container.pid}/ns/user").st_ino == os.stat(f"/proc/{inner.outer.pid}/ns/user").st_ino
    assert same is not own
