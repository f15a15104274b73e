"""`exec`, and the way from create to delete, on kernels that lack something: behind masks, on cgroup v1 and v2.

A runtime that tries the new call first and falls back does everything twice: the second attempt must not find what the
first has used up (runc 5091: a spent command object), start a second program, lose a stream, forget the cgroup or leave
a child behind.  On the kernel of a CI host the fallback never runs.
"""

from __future__ import annotations

import pytest

from seatrial.conformance.airlock import leaks, orphans
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import at_first, detached, held, in_view, inits, paths_in, words
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.mask import names

pytestmark = [
    needs("root", "exec"),
    profile("runc-compat"),
    pytest.mark.usefixtures("cgroup_view"),
    pytest.mark.parametrize("cgroup_view", ["v1", "v2"], indirect=True),
]

CLONES = ("no-clone3", "no-clone-into-cgroup", "clone3-eperm")  # how a process gets into its cgroup
RELEASES = ("4.18", "5.4", "5.10", "5.15", "6.1", "6.6")
PLACE, STATUS, ERROR = "config-linux/cgroups-path/3", "config/process/14", "runtime/errors/1"
STARTS = "/starts"  # in the rootfs: each start of a program appends a letter
FULL = f"append {STARTS} x -- read-fd 0 -- write-fd 2 complaint -- list /proc -- exit 7"


def masks() -> list[object]:
    """Every single feature, and the releases that hosts still run."""
    profiles = [
        pytest.param(f"linux-{release}", marks=needs(f"kernel>={release}"), id=f"linux-{release}")
        for release in RELEASES
    ]
    return [*names.features(), *profiles]


def placed(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container that sees the paths of its cgroups as we do."""
    return held(runtime, bundle.without_namespace("cgroup"))


def starts(bundle: Bundle) -> str:
    """A letter for each program that was started."""
    try:
        with open(bundle.rootfs + STARTS, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def inside(report: Report) -> list[str]:
    """The pids that the program saw: init's, and its own."""
    return [name for name in report.verb("list", "/proc").value if name.isdigit()]


def more_children(before: set[int]) -> list[str]:
    """Children of ours that were not there before, zombies among them, after a moment for what is about to end."""
    return leaks.settle(lambda: [f"{pid}: {orphans.describe(pid)}" for pid in sorted(orphans.children() - before)])


def check(container: Container, before: set[int], mask: str) -> None:
    """One foreground exec behind a mask, from every side."""
    runtime, bundle = container.runtime, container.bundle
    already = starts(bundle)
    with runtime.masked(mask):
        result = container.exec(*words(FULL), check=False, stdin=b"typed")
    assert result.status == 7, f"{result.describe()}: {result.stderr}"
    report = parse(result.stdout, result)
    assert starts(bundle) == already + "x"
    assert in_view(at_first(report)) == inits(container)
    assert report.verb("read-fd", "0").value == "typed"
    assert "complaint" in result.stderr
    assert [line for line in result.stdout.splitlines() if not line.startswith("{")] == []
    assert len(inside(report)) == 2
    assert more_children(before) == []
    assert container.status() == "running"


@covers(PLACE, STATUS)
@pytest.mark.parametrize("mask", masks())
def test_exec(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """The program runs once, in the container's cgroups from its first instruction on, with its streams, and its status
    comes back; nothing is left."""
    container = placed(runtime, bundle)
    check(container, orphans.children(), mask)


@covers(PLACE, STATUS)
def test_with_and_without_in_turn(runtime: Runtime, bundle: Bundle) -> None:
    """What a runtime remembers of a kernel's abilities must be true the next time as well."""
    container = placed(runtime, bundle)
    before = orphans.children()
    for mask in (*CLONES, "no-openat2"):
        check(container, before, mask)
        result = container.exec(*words(), check=False)
        assert result.ok, result.describe()
        assert in_view(at_first(parse(result.stdout, result))) == inits(container)


@covers(PLACE, STATUS)
@pytest.mark.parametrize("mask", CLONES)
def test_detached(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """--detach: the pid file names the one process that was started, which is in the container's cgroups."""
    container = placed(runtime, bundle)
    before = orphans.children()
    with runtime.masked(mask), detached(container, PROBE, "append", STARTS, "x", "--", "hold") as pid:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = file.read()
        assert in_view(paths_in(lines)) == inits(container)
        listed = container.exec(PROBE, "list", "/proc")
        names_inside = parse(listed.stdout, listed).verbs[0].value
        assert len([name for name in names_inside if name.isdigit()]) == 3  # init, the process, and this one
    assert starts(bundle) == "x"
    assert more_children(before) == []


@needs("tty")
@covers("config/process/4")
@pytest.mark.parametrize("mask", CLONES)
def test_terminal(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """A terminal that was made for the first attempt is used, or given up: the console socket gets exactly one, and it
    is the program's."""
    container = placed(runtime, bundle)
    with ConsoleSocket(bundle.outside("console")) as listener, runtime.masked(mask):
        with detached(container, *words("tty-info"), tty=True, console_socket=listener.path):
            report = parse(listener.receive().read_to_end())
        assert not listener.waiting()
    info = report.verbs[0].value
    assert [stream["tty"] for stream in info["streams"]] == [True] * 3
    assert info["controlling"] is True


@covers(ERROR)
@pytest.mark.parametrize("mask", CLONES)
def test_a_real_error_stays_one(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """A program that is not there is an error in the fallback too, and takes nothing with it."""
    container = placed(runtime, bundle)
    before = orphans.children()
    with runtime.masked(mask):
        result = container.exec("/not/there", check=False)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    assert more_children(before) == []
    check(container, before, mask)


@covers(PLACE, "runtime/create/7", "runtime/create/9", "runtime/start/7")
@pytest.mark.parametrize("mask", masks())
def test_create_to_delete(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """create, start, state, kill and delete: the program starts once, when it is told to, in its cgroups."""
    bundle.without_namespace("cgroup").probe(f"append {STARTS} x -- hold")
    with runtime.masked(mask):
        container = runtime.create(bundle)
        assert container.status() == "created"
        assert starts(bundle) == ""
        wanted = inits(container)
        container.start()
        report = parse(container.wait_output('"verb":"hold"'))
        assert in_view(at_first(report)) == wanted
        assert any(path.endswith(bundle.name) for path in wanted.values())
        assert report["pid"] == 1
        assert container.status() == "running"
        container.kill("KILL")
        container.wait_status("stopped")
        container.delete()
    assert starts(bundle) == "x"


@covers(PLACE, STATUS)
@pytest.mark.parametrize("mask", CLONES)
def test_run(runtime: Runtime, bundle: Bundle, mask: str) -> None:
    """run in the foreground: one start, its cgroup, its streams, its status, nothing left."""
    before = orphans.children()
    bundle.without_namespace("cgroup").probe(FULL)
    with runtime.masked(mask):
        result = runtime.run(bundle, check=False, stdin=b"typed")
    assert result.status == 7, result.describe()
    report = parse(result.stdout, result)
    assert starts(bundle) == "x"
    assert any(path.endswith(bundle.name) for path in in_view(at_first(report)).values())
    assert report.verb("read-fd", "0").value == "typed"
    assert "complaint" in result.stderr
    assert len(inside(report)) == 1
    assert more_children(before) == []
