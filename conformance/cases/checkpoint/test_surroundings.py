"""checkpoint and restore of containers whose config asks for more: mounts, a user namespace, filters, limits, users."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups.control_files import directories_of
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip, travel
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import Finding

pytestmark = [CHECKPOINTS, profile("runc-compat")]


@covers("config/mounts/1", "runtime/state/7")
def test_files_in_a_bind_mount(runtime: Runtime, bundle: Bundle) -> None:
    """Open files and watches on them; the mount is as it was."""
    source = bundle.outside("volume")
    os.mkdir(source, 0o777)
    bundle.mount("/tmp", "bind", source, "rbind", "rw", "nosuid")
    trip = Trip(runtime, bundle, "files", "inotify", "pipes")
    travel(trip)
    assert trip.after.mount("/tmp")["root"] == trip.before.mount("/tmp")["root"]
    assert os.path.exists(os.path.join(source, "workload-plain"))


@covers("config/mounts/1", "runtime/state/7")
def test_files_in_a_tmpfs(runtime: Runtime, bundle: Bundle) -> None:
    """What a tmpfs has comes back with it, and so do its options."""
    bundle.mount("/tmp", "tmpfs", "tmpfs", "nosuid", "noexec", "size=16m", "mode=1777")
    trip = Trip(runtime, bundle, "files", "unlinked-files", "pipes")
    travel(trip)
    assert trip.after.options("/tmp") == trip.before.options("/tmp")


@covers("config-linux/masked-paths/1", "runtime/state/7")
def test_masked_paths(runtime: Runtime, bundle: Bundle) -> None:
    """Masked files and directories come back as they were."""
    trip = Trip(runtime, bundle, "denied-call", masked=bundle.linux["maskedPaths"])
    travel(trip)
    for path in trip.bundle.linux["maskedPaths"]:
        assert len(trip.after.mounts(path)) == len(trip.before.mounts(path)), path


@covers("config/root/4", "runtime/state/7")
def test_root_that_is_read_only(runtime: Runtime, bundle: Bundle) -> None:
    """It is read-only again."""
    bundle.mount("/tmp", "tmpfs", "tmpfs", "mode=1777")
    trip = read_only(Trip(runtime, bundle, "memory", "files"))
    travel(trip)
    assert trip.after["rootfs"] == trip.before["rootfs"]
    assert trip.after["rootfs"]["readonly"]


@covers("config/root/4", "runtime/state/7")
def test_root_that_is_read_only_without_a_tmpfs(runtime: Runtime, bundle: Bundle) -> None:
    """It has no place for temporary files, not even at restore."""
    trip = read_only(Trip(runtime, bundle, "eventfd", "threads"))
    travel(trip)


def read_only(trip: Trip) -> Trip:
    """The root is read-only, and the answers go to a volume."""
    directory = trip.bundle.outside("answers")
    os.mkdir(directory, 0o777)
    trip.bundle.config["root"]["readonly"] = True
    trip.bundle.mount("/answers", "bind", directory, "rbind", "rw")
    trip.answers.directory = directory
    return trip


@needs("cap:SYS_RESOURCE")  # CRIU reads the limits of a process of another user
@covers("config/posix-platform-user/1", "runtime/state/7")
def test_user_who_is_not_root(runtime: Runtime, bundle: Bundle) -> None:
    """The same ids, groups and capabilities."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 6], "umask": 0o027}
    trip = Trip(runtime, bundle, "memory", "files", "shared-memory")
    travel(trip)
    trip.hold("ids", "caps", "umask", "no_new_privs", "dumpable")


@needs("userns")
@covers("config-linux/user-namespace-mappings/1", "runtime/state/7")
def test_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """A new one with the same mappings."""
    bundle.user_namespace()
    trip = Trip(runtime, bundle, "memory", "pipes", "signals", "files")
    os.mkdir(trip.images(), 0o755)  # CRIU reads images as the namespace's root
    travel(trip)
    trip.hold("uid_map", "gid_map", "setgroups", "ids", "caps")


@needs("seccomp", "criu:seccomp_filters")
@covers("config-linux/seccomp/1", "runtime/state/7")
def test_seccomp_filter(runtime: Runtime, bundle: Bundle) -> None:
    """The filter denies what it denied."""
    entry = {"names": ["setdomainname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]}
    trip = Trip(runtime, bundle, "denied-call", "threads")
    travel(trip)
    trip.hold("seccomp")
    assert trip.after.verb("workload", "denied-call").value == {"setdomainname": "EPROTO"}


RESOURCES: dict[str, dict[str, Any]] = {
    "memory": {"limit": 256 << 20, "reservation": 64 << 20},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    "pids": {"limit": 77},
}
LIMITS = re.compile(
    r"memory\.(limit_in_bytes|soft_limit_in_bytes|memsw\.limit_in_bytes|swappiness|max|high|low|min|swap\.max)"
    r"|cpu\.(shares|cfs_quota_us|cfs_period_us|max|weight|idle)|cpuset\.(cpus|mems)|pids\.max|devices\.list"
    r"|hugetlb\..*\.(limit_in_bytes|max)|blkio\.(weight|throttle\..*_device)|io\.(max|weight)|net_cls\.classid|net_prio\.ifpriomap"
)


def limits(container: Container) -> dict[str, str]:
    """Every control file of the container's cgroups that limits something, by its hierarchy and name."""
    found = {}
    for controller, directory in directories_of(container).items():
        for name in sorted(os.listdir(directory)):
            if LIMITS.fullmatch(name):
                with open(os.path.join(directory, name), encoding="ascii") as file:
                    found[f"{controller}/{name}"] = file.read()
    return found


@needs("root")
@covers("config-linux/control-groups/1", "runtime/state/7")
def test_limits(runtime: Runtime, bundle: Bundle) -> None:
    """The process is in a cgroup of the same path, and every limit there is what it was."""
    offered = cgroups.read_view().controllers()
    bundle.linux["resources"].update({name: value for name, value in RESOURCES.items() if name in offered})
    trip = Trip(runtime, bundle, "memory", "processes").start()
    before, where = limits(trip.container), directories_of(trip.container)
    with trip.attributed():
        trip.there_and_back()
        trip.judge()
    assert directories_of(trip.container) == where
    assert limits(trip.container) == before
    for pid in processes(where):
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            assert file.read().strip() in ("probe", "leader", "grandchild")


def processes(directories: dict[str, str]) -> set[int]:
    """Those in these cgroups; Finding unless each has the same, more than one."""
    found = []
    for directory in directories.values():
        with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
            found.append({int(word) for word in file.read().split()})
    if not found or len(found[0]) < 2 or any(pids != found[0] for pids in found):
        raise Finding(f"not all processes of the container are in all of its cgroups: {found}")
    return found[0]


@needs("root")
@covers("config-linux/control-groups/1", "config-linux/cgroups-path/1", "runtime/state/7")
def test_another_cgroup(runtime: Runtime, bundle: Bundle) -> None:
    """The config.json of restore says where the processes go; the cgroup of the images is not made anew."""
    trip = Trip(runtime, bundle, "memory", "processes").start()
    old = {path for path in directories_of(trip.container).values() if path.endswith(bundle.name)}
    trip.checkpoint()
    bundle.linux["cgroupsPath"] += "-there"
    bundle.write()
    with trip.attributed():
        trip.restore()
        trip.after = trip.ask()
        trip.judge()
    there = directories_of(trip.container)
    assert old
    assert {path for path in there.values() if path.endswith("-there")} == {f"{path}-there" for path in old}
    processes(there)
    assert [path for path in old if os.path.isdir(path)] == []


@needs("exec")
@pytest.mark.parametrize("name", ["own", "none"])
@covers("config-linux/namespaces/1", "runtime/state/7")
def test_cgroup_namespace(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """With a cgroup namespace of its own a process in the container sees itself at the root, without one where the
    first saw itself before."""
    if name == "own":
        bundle.namespace("cgroup")
    trip = Trip(runtime, bundle, "denied-call")
    travel(trip)
    found = parse(trip.container.exec("/probe", "report").stdout)  # the first process has read the file only once
    assert found["cgroup"] == trip.before["cgroup"]
    assert found.namespace("cgroup") == os.stat(f"/proc/{trip.container.pid}/ns/cgroup").st_ino
