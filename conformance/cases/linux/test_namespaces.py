"""config-linux.md#namespaces: new, joined and inherited namespaces, read from the kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import Part, created, together
from seatrial.native import mount_api

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config-linux/namespaces/"

# type in config.json: (file under /proc/PID/ns, ledger row of "is supported", further needs)
TYPES = {
    "pid": ("pid", 2, ()),
    "network": ("net", 3, ()),
    "mount": ("mnt", 4, ()),
    "ipc": ("ipc", 5, ()),
    "uts": ("uts", 6, ()),
    "user": ("user", 7, ("userns", "root")),
    "cgroup": ("cgroup", 8, ("kernel>=4.6",)),
    "time": ("time", 9, ("time-ns", "kernel>=5.6")),
}


def types(*left_out: str, covering: str = "", supported: bool = False, root: tuple[str, ...] = ()) -> list[object]:
    """All namespace types as parameters, marked with their needs, and with a ledger row; those of `root` need it."""
    found: list[object] = []
    for name, (_, row, needed) in TYPES.items():
        if name not in left_out:
            ids = [covering] if covering else []
            ids += [f"{ROW}{row}"] if supported else []
            needed = (*needed, "root") if name in root else needed
            found.append(pytest.param(name, marks=[covers(*ids), *([needs(*needed)] if needed else [])], id=name))
    return found


def with_namespace(bundle: Bundle, type: str, path: str | None = None) -> Bundle:
    """The bundle with a namespace of the type; a user namespace gets its mappings, where it is new."""
    if type == "user" and path is None:
        return bundle.user_namespace()
    return bundle.namespace(type, path)


def link(pid: int | str, type: str) -> int:
    """Inode number of a process's namespace."""
    return os.stat(f"/proc/{pid}/ns/{TYPES[type][0]}").st_ino


def own(type: str) -> str:
    """Which types have containers of their own: those that change what the others are, or that runtimes may lack."""
    return type if type in ("user", "time", "pid", "mount") else ""


def twins(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[tuple[int, int]]:
    """The pids of two containers with the bundle's namespaces."""
    other = runtime.workshop.bundle()
    try:
        for entry in bundle.linux["namespaces"]:
            with_namespace(other, entry["type"])
        first = runtime.create(bundle.probe("hold", report=False))
        second = runtime.create(other.probe("hold", report=False))
        for _ in verbs:
            yield first.pid, second.pid
    finally:
        runtime.workshop.remove(other)


@together(own, look=twins)
@pytest.mark.parametrize("type", types(covering=ROW + "14", supported=True))
def test_new_namespace(bundle: Bundle, type: str) -> Part:
    """Without path the namespace is new: neither the runtime's nor another container's (config-linux.md#namespaces)."""
    with_namespace(bundle, type)
    first, second = yield None
    assert len({link("self", type), link(first, type), link(second, type)}) == 3


# An ordinary user may mount nothing in the host's mount namespace, and no proc of the host's pid namespace.
@together(own, look=created)
@pytest.mark.parametrize("type", types("user", covering=ROW + "15", root=("mount", "pid")))
def test_namespace_left_out_is_inherited(bundle: Bundle, type: str) -> Part:
    """A type that is not listed stays the runtime's (config-linux.md#namespaces)."""
    leave_out(bundle, type)
    container = yield None
    assert link(container.pid, type) == link("self", type)


def leave_out(bundle: Bundle, type: str) -> None:
    """Share a namespace with the runtime, and drop what cannot be configured then."""
    bundle.without_namespace(type)
    if type == "uts":
        del bundle.config["hostname"]
    if type == "network":  # sysfs belongs to a network namespace: mounting it needs one of our own
        bundle.without_mount("/sys/fs/cgroup").without_mount("/sys")
    if type == "ipc":
        bundle.without_mount("/dev/mqueue")
    if type == "mount":
        bundle.config["mounts"] = []
        for member in ("maskedPaths", "readonlyPaths"):
            bundle.linux.pop(member, None)


@pytest.fixture
def owner(runtime: Runtime, make_bundle: Make) -> Callable[[str], Container]:
    """Makes a container that holds a namespace of a type."""

    def make(type: str) -> Container:
        return runtime.create(with_namespace(make_bundle().probe("hold", report=False), type))

    return make


HOLDER = "/of/the/holder"  # stands for a namespace of the holder's


def joined(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[tuple[int, int]]:
    """The pids of a holder of namespaces, and of a container that joins those that the bundle says are HOLDER."""
    other = runtime.workshop.bundle()
    try:
        entries = [entry for entry in bundle.linux["namespaces"] if entry.get("path") == HOLDER]
        for entry in entries:
            with_namespace(other, entry["type"])
        holder = runtime.create(other.probe("hold", report=False))
        for entry in entries:
            entry["path"] = f"/proc/{holder.pid}/ns/{TYPES[entry['type']][0]}"
        container = runtime.create(bundle.probe("hold", report=False))
        for _ in verbs:
            yield holder.pid, container.pid
    finally:
        runtime.workshop.remove(other)


@together(own, look=joined)
@needs("root")
@pytest.mark.parametrize("type", types("mount", covering=ROW + "12"))
def test_namespace_of_a_process_is_joined(bundle: Bundle, type: str) -> Part:
    """With path the container is in that namespace (config-linux.md#namespaces)."""
    if type == "user":
        bundle.user_namespace()
        for member in ("uidMappings", "gidMappings"):
            del bundle.linux[member]
    with_namespace(bundle, type, HOLDER)
    holder, container = yield None
    assert link(container, type) == link(holder, type)


@pytest.fixture
def pinned(bundle: Bundle, owner: Callable[[str], Container]) -> Iterator[Callable[[str], tuple[str, int]]]:
    """Makes a file on which a namespace is mounted; (path, inode number)."""
    paths = []

    def make(type: str) -> tuple[str, int]:
        holder = owner(type)
        path = bundle.outside(f"namespace-{type}")
        with open(path, "w", encoding="ascii"):
            pass
        mount_api.mount(f"/proc/{holder.pid}/ns/{TYPES[type][0]}", path, None, 4096, None)  # MS_BIND
        paths.append(path)
        return path, link(holder.pid, type)

    yield make
    for path in paths:
        mount_api.umount(path, 2)  # MNT_DETACH


@needs("root")
@pytest.mark.parametrize("type", ["network", "ipc", "uts"])
@covers(ROW + "12", ROW + "10")
def test_namespace_of_a_mounted_file_is_joined(
    runtime: Runtime, bundle: Bundle, pinned: Callable[[str], tuple[str, int]], type: str
) -> None:
    """A bind-mounted namespace file can be joined as well (config-linux.md#namespaces)."""
    path, inode = pinned(type)
    container = runtime.create(bundle.namespace(type, path).probe("hold", report=False))
    assert link(container.pid, type) == inode


@pytest.mark.parametrize("entry", [{}, {"path": "/proc/1/ns/net"}], ids=["empty", "path only"])
@covers(ROW + "1")
def test_namespace_without_type_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, entry: dict[str, str]
) -> None:
    """Every entry needs a type (config-linux.md#namespaces)."""
    bundle.linux["namespaces"].append(entry)
    rejected(runtime, bundle)


@pytest.mark.parametrize("path", ["proc/1/ns/net", "ns/net"])
@covers(ROW + "11")
def test_namespace_path_is_absolute(runtime: Runtime, bundle: Bundle, rejected: Rejected, path: str) -> None:
    """A relative path is refused (config-linux.md#namespaces)."""
    os.makedirs(bundle.outside(os.path.dirname(path)))
    os.symlink("/proc/1/ns/net", bundle.outside(path))
    rejected(runtime, bundle.namespace("network", path))


WRONG = {
    "other type": "/proc/self/ns/{other}",
    "null device": "/dev/null",
    "file": "/etc/passwd",
    "missing": "/no/such",
}


@needs("root")
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("type", ["pid", "network", "ipc", "uts", "mount"])
@covers(ROW + "13")
def test_path_of_another_kind_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, type: str, kind: str
) -> None:
    """A path that is no namespace of the type is refused (config-linux.md#namespaces)."""
    other = "uts" if type != "uts" else "ipc"
    path = WRONG[kind].format(other=other)
    rejected(runtime, bundle.namespace(type, path.replace("self", str(os.getpid()))))


@pytest.mark.parametrize("path", [None, "joined"], ids=["new", "joined"])
@covers(ROW + "16")
def test_repeated_namespace_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, path: str | None) -> None:
    """Two entries of one type are refused (config-linux.md#namespaces)."""
    entry = {"type": "uts"} if path is None else {"type": "uts", "path": f"/proc/{os.getpid()}/ns/uts"}
    bundle.linux["namespaces"].append(entry)
    rejected(runtime, bundle)


@covers(ROW + "2")
def test_program_is_pid_1_of_its_namespace(bundle: Bundle, report: Reader) -> None:
    """In a new pid namespace the program is number 1 and sees no host process (config-linux.md#namespaces)."""
    found = report(bundle.probe("list /proc"))
    assert found["pid"] == 1
    numbers = [name for name in found.verbs[0].value if name.isdigit()]
    assert numbers == ["1"]


@covers(ROW + "3")
def test_new_network_namespace_has_lo_only(default_report: Report) -> None:
    """A new network namespace has the loopback interface only (config-linux.md#namespaces)."""
    assert [interface["name"] for interface in default_report["interfaces"]] == ["lo"]


@covers(ROW + "4")
def test_mount_made_inside_stays_inside(runtime: Runtime, bundle: Bundle) -> None:
    """What the program mounts is not in the host's table (config-linux.md#namespaces)."""
    bundle.capabilities("CAP_SYS_ADMIN")
    container = runtime.create(bundle.probe("mount tmpfs /mnt tmpfs '' '' -- hold", report=False))
    container.start()
    output = container.wait_output('"verb":"hold"')
    assert '"errno":null' in output.splitlines()[0]
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert [line for line in file if f"{bundle.rootfs}/mnt" in line] == []


@covers(ROW + "6")
def test_hostname_set_inside_stays_inside(bundle: Bundle, report: Reader) -> None:
    """sethostname of the program does not reach the host (config-linux.md#namespaces)."""
    before = os.uname().nodename
    bundle.capabilities("CAP_SYS_ADMIN")
    assert report(bundle.probe("hostname changed")).verbs[0].errno is None
    assert os.uname().nodename == before


@needs("kernel>=4.6")
@covers(ROW + "8")
def test_cgroup_namespace_hides_the_path(bundle: Bundle, report: Reader) -> None:
    """In a new cgroup namespace the container's cgroup is / (config-linux.md#namespaces)."""
    found = report(bundle.namespace("cgroup"))
    named = {entry["path"] for entry in found["cgroup"] if "pids" in entry["controllers"]} or {
        entry["path"] for entry in found["cgroup"]
    }
    assert named == {"/"}


# -- user namespace mappings -----------------------------------------------------------------------------------------

MAPPINGS = "config-linux/user-namespace-mappings/"


def table(text: str) -> list[list[int]]:
    """The numbers of a uid_map or gid_map."""
    return [[int(word) for word in line.split()] for line in text.splitlines()]


@needs("userns", "root")
@pytest.mark.parametrize(
    ("kind", "file"),
    [
        pytest.param("uidMappings", "uid_map", marks=covers(MAPPINGS + "1"), id="uid"),
        pytest.param("gidMappings", "gid_map", marks=covers(MAPPINGS + "2"), id="gid"),
    ],
)
@covers(MAPPINGS + "3", MAPPINGS + "4", MAPPINGS + "5", ROW + "7")
def test_mapping(runtime: Runtime, bundle: Bundle, kind: str, file: str) -> None:
    """The kernel's table has the configured lines, one and several (config-linux.md#user-namespace-mappings)."""
    bundle.user_namespace()
    lines = [[0, 100000, 1000], [1000, 300000, 10], [5000, 400000, 1]]
    bundle.linux[kind] = [{"containerID": a, "hostID": b, "size": c} for a, b, c in lines]
    container = runtime.create(bundle.probe("hold", report=False))
    with open(f"/proc/{container.pid}/{file}", encoding="ascii") as stream:
        assert table(stream.read()) == lines


@needs("userns", "root")
@pytest.mark.parametrize("kind", ["uidMappings", "gidMappings"])
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("containerID", marks=covers(MAPPINGS + "3")),
        pytest.param("hostID", marks=covers(MAPPINGS + "4")),
        pytest.param("size", marks=covers(MAPPINGS + "5")),
    ],
)
def test_incomplete_mapping_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, kind: str, member: str
) -> None:
    """containerID, hostID and size are required (config-linux.md#user-namespace-mappings)."""
    del bundle.user_namespace().linux[kind][0][member]
    rejected(runtime, bundle, control=make_bundle().user_namespace())


@needs("userns", "root")
@covers(MAPPINGS + "5")
def test_empty_mapping_is_an_error(runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected) -> None:
    """A mapping of no ids is refused (config-linux.md#user-namespace-mappings)."""
    bundle.user_namespace().linux["uidMappings"][0]["size"] = 0
    rejected(runtime, bundle, control=make_bundle().user_namespace())


@needs("userns", "root")
@covers(MAPPINGS + "6")
def test_mapping_changes_no_owner(runtime: Runtime, bundle: Bundle) -> None:
    """The files of the rootfs keep owner and mtime (config-linux.md#user-namespace-mappings)."""
    bundle.user_namespace()
    kept = bundle.file("kept", "text")
    os.chown(kept, 4242, 4343)

    def owners() -> dict[str, tuple[int, int]]:
        return {
            path: (os.lstat(path).st_uid, os.lstat(path).st_gid)
            for directory, _, files in os.walk(bundle.rootfs)
            for path in (directory, *(os.path.join(directory, name) for name in files))
        }

    before = owners()
    modified = os.stat(kept).st_mtime_ns
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    container.delete()
    after = owners()
    assert {path: after[path] for path in before} == before
    assert os.stat(kept).st_mtime_ns == modified


@needs("userns", "root", "kernel>=4.15")
@covers(MAPPINGS + "7")
def test_many_mapping_lines(runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected) -> None:
    """340 lines, the kernel's limit, work; 341 are refused, not cut (config-linux.md#user-namespace-mappings)."""

    # short numbers: the kernel takes less than a page of text (user_namespaces(7))
    def lines(count: int) -> list[dict[str, int]]:
        return [{"containerID": number, "hostID": 2 * number, "size": 1} for number in range(count)]

    good = make_bundle().user_namespace(host_id=0)
    good.linux["uidMappings"] = lines(340)
    container = runtime.create(good.probe("hold", report=False))
    with open(f"/proc/{container.pid}/uid_map", encoding="ascii") as stream:
        assert len(table(stream.read())) == 340
    bundle.user_namespace(host_id=0).linux["uidMappings"] = lines(341)
    rejected(runtime, bundle)


# -- time namespace --------------------------------------------------------------------------------------------------

TIME = "config-linux/offset-for-time-namespace/"
time_namespace = needs("time-ns", "kernel>=5.6", "root")


@time_namespace
@covers(TIME + "1", TIME + "3", TIME + "4", ROW + "9")
def test_clock_offsets(bundle: Bundle, report: Reader) -> None:
    """The clocks are shifted by the offsets (config-linux.md#offset-for-time-namespace)."""
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 7200, "nanosecs": 123456789}, "boottime": {"secs": -1}}
    found = report(bundle.probe("read /proc/self/timens_offsets"))
    rows = {line.split()[0]: [int(word) for word in line.split()[1:]] for line in found.verbs[0].value.splitlines()}
    assert rows == {"monotonic": [7200, 123456789], "boottime": [-1, 0]}


@time_namespace
@covers(TIME + "1")
def test_no_clock_offsets(bundle: Bundle, report: Reader) -> None:
    """Without timeOffsets a new time namespace has none (config-linux.md#offset-for-time-namespace)."""
    found = report(bundle.namespace("time").probe("read /proc/self/timens_offsets"))
    assert [line.split()[1:] for line in found.verbs[0].value.splitlines()] == [["0", "0"]] * 2


@time_namespace
@pytest.mark.parametrize("clock", ["realtime", "nosuch"])
@covers(TIME + "2")
def test_unknown_clock_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, clock: str
) -> None:
    """A clock without offset is refused (config-linux.md#offset-for-time-namespace)."""
    bundle.namespace("time").linux["timeOffsets"] = {clock: {"secs": 1}}
    rejected(runtime, bundle, control=make_bundle().namespace("time"))


@time_namespace
@covers(TIME + "2")
def test_offsets_without_time_namespace_are_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """timeOffsets needs a new time namespace (config-linux.md#offset-for-time-namespace)."""
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 1}}
    rejected(runtime, bundle)


@time_namespace
@covers(TIME + "4")
def test_too_many_nanoseconds_are_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected
) -> None:
    """A whole second is no nanosecond part (config-linux.md#offset-for-time-namespace)."""
    bundle.namespace("time").linux["timeOffsets"] = {"monotonic": {"secs": 1, "nanosecs": 1000000000}}
    rejected(runtime, bundle, control=make_bundle().namespace("time"))
