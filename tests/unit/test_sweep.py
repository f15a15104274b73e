"""The sweep without any container: its filter, the names of what calls are about, its points, its options."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from cbpf import AARCH64, ALLOW, I386, X86_64, run

from seatrial.conformance import cli
from seatrial.conformance.command import sweep as command
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sweep import calls, supervised
from seatrial.conformance.sweep.launch import CONTROL, NOTIFY, program
from seatrial.conformance.sweep.operations import OPERATIONS
from seatrial.conformance.sweep.proof import differences, proof
from seatrial.conformance.sweep.subject import Eye, Places
from seatrial.conformance.sweep.supervisor import KILL, Place, Point
from seatrial.conformance.sweep.worker import Order, points, tried
from seatrial.native.seccomp import Notification

HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
PLACES = Places("/tmp/s/state", "/tmp/s/bundles/st-9-1", "st-9-1", ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"))


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", X86_64), ("aarch64", AARCH64)])
def test_the_filter_stops_what_is_in_the_table(machine: str, arch: int) -> None:
    table = calls.by_number(machine)
    write = next(number for number, call in table.items() if call.name == "write")
    code = program(table, write, machine)
    for number in range(500):
        assert run(code, number, arch=arch) == (NOTIFY if number in table else ALLOW)
        assert run(code, number, arch=I386) == ALLOW
    assert run(code, write, CONTROL, arch=arch) == ALLOW
    assert run(code, write, CONTROL - 1, arch=arch) == NOTIFY


@pytest.mark.parametrize("machine", sorted(HEADERS))
def test_the_numbers_are_the_kernels(machine: str) -> None:
    """Against the headers that the build needs anyway."""
    text = Path(HEADERS[machine]).read_text(encoding="ascii")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    assert known["close_range"] == 436
    for call in calls.CALLS.values():
        assert known.get(call.name, -1) == call.number(machine), call.name


def test_the_command_knows_the_operations() -> None:
    """The command names them without the driver's imports."""
    assert tuple(OPERATIONS) == command.OPERATIONS


def test_the_errnos_exist() -> None:
    for call in calls.CALLS.values():
        assert call.errnos
        assert all(hasattr(errno, name) for name in call.errnos), call.name
        assert len(set(call.errnos)) == len(call.errnos), call.name


def test_a_machine_without_a_table() -> None:
    with pytest.raises(EnvironmentProblem, match="s390x"):
        calls.by_number("s390x")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/sys/fs/cgroup/pids/st-9-1/pids.max", "cgroup/pids/ID/pids.max"),
        ("/sys/fs/cgroup/pids", "cgroup/pids"),
        ("/sys/fs/cgroup/pidsx/a", "sys/fs/cgroup/pidsx/a"),
        ("/tmp/s/state/st-9-1/state.json", "state/ID/state.json"),
        ("/tmp/s/bundles/st-9-1/rootfs/proc", "bundle/rootfs/proc"),
        ("/proc/4711/uid_map", "proc/N/uid_map"),
        ("/proc/self/attr/exec", "proc/self/attr/exec"),
        ("/dev/tty0", "dev/tty0"),
        ("pipe:[817234]", "pipe:[N]"),
        ("/tmp/x-0a1b2c3d4e5f", "tmp/x-RANDOM"),
    ],
)
def test_names_of_objects(path: str, name: str) -> None:
    assert Eye(PLACES).name(path) == name


def notification(*arguments: int) -> Notification:
    return Notification([1, os.getpid(), 0, 0, 0, 0, *arguments, *[0] * (6 - len(arguments))])


def test_objects_are_read_from_the_process(tmp_path: Path) -> None:
    """Descriptors and the working directory of the process whose call it is: here, our own."""
    eye = Eye(Places(str(tmp_path), "/nowhere", "nobody", ()))
    file = tmp_path / "file"
    file.write_text("")
    with file.open() as stream:
        described = eye.describe(calls.CALLS["fsync"], notification(stream.fileno()))
        assert described == "state/file"
    assert eye.describe(calls.CALLS["write"], notification(0xFFFF)) is None
    assert eye.describe(calls.CALLS["chdir"], notification(0)) == os.getcwd().lstrip("/")
    assert eye.describe(calls.CALLS["prctl"], notification(15)) is None
    assert eye.describe(calls.CALLS["prctl"], notification(38)) == "NO_NEW_PRIVS"
    assert eye.describe(calls.CALLS["prlimit64"], notification(0, 7, 0)) is None
    assert eye.describe(calls.CALLS["prlimit64"], notification(0, 7, 4096)) == "resource 7"


def order(**given: object) -> Order:
    values = {"runtime": "x", "workdir": "", "operations": [], "crash": False, "errnos": [], "calls": [], "only": None}
    return Order(**{**values, "shard": [1, 1], "workers": 1, "timeout": 1.0, "output": -1, **given})  # type: ignore[arg-type]


def test_points_of_an_order() -> None:
    places = [Place("mount", "proc", 1), Place("setsid", "", 1)]
    every = points(places, order())
    assert {point.fault for point in every if point.place == places[0]} == set(calls.CALLS["mount"].errnos)
    assert points(places, order(crash=True)) == [Point(place, KILL) for place in places]
    assert points(places, order(errnos=["EPERM"], calls=["mount"])) == [Point(places[0], "EPERM")]
    assert points(places, order(only="setsid - #1 EPERM")) == [Point(places[1], "EPERM")]
    parts = [points(places, order(shard=[part, 3])) for part in (1, 2, 3)]
    assert sorted(point for part in parts for point in part) == sorted(every)


def test_what_is_there_is_not_denied() -> None:
    """No failure, and not to be told from the truth: that the container does not exist, that a removal was done."""
    state, cgroup = Place("openat", "state/ID/state.json", 1), Place("openat", "cgroup/pids/ID/pids.max", 1)
    assert "ENOENT" not in {point.fault for point in points([state], order())}
    assert "ENOENT" in {point.fault for point in points([cgroup], order())}
    assert "ENOENT" not in {point.fault for point in points([Place("rmdir", "cgroup/pids/ID", 1)], order())}


def test_what_may_be_believed() -> None:
    assert calls.is_denial("openat2", "proc/kcore", "ENOENT")
    assert calls.is_denial("openat", "cgroup/pids/ID", "ENODEV")  # a file of a cgroup that is gone
    assert calls.is_denial("symlinkat", "dev/fd", "EEXIST")
    assert calls.is_denial("prctl", "CAPBSET_DROP", "EINVAL")  # a capability that the kernel does not know
    assert not calls.is_denial("prctl", "CAPBSET_DROP", "EPERM")
    assert not calls.is_denial("prctl", "SET_NO_NEW_PRIVS", "EINVAL")
    assert not calls.is_denial("openat2", "proc/kcore", "ENOMEM")
    assert not calls.is_denial("mount", "proc", "ENOENT")


def test_points_that_were_tried(tmp_path: Path) -> None:
    file = tmp_path / "results"
    lines = [
        {"operation": "run", "points": [["mount", "proc", 1, "EPERM"]], "unsteady": 0},
        {"operation": "run", "point": "mount proc #1 EPERM", "ending": "error exit", "findings": []},
        {"operation": "exec", "point": "setns - #1 EPERM", "ending": "error exit", "findings": []},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"operation": "run", "poi')
    assert tried(str(file), "run") == {"mount proc #1 EPERM"}


def test_resume_needs_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "faults", "--runtime", "/bin/true", "--resume"]
    for more in ([], ["--results", str(tmp_path / "none")]):
        assert cli.main([*words, *more]) == 2
        assert "--resume" in capsys.readouterr().err


def test_results_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "faults", "--runtime", "/bin/true", "--results", str(tmp_path / "none" / "file")]
    assert cli.main(words) == 2
    assert "--results" in capsys.readouterr().err


def test_an_attempt_stops_the_calls_of_its_name_alone() -> None:
    table = calls.by_number()
    numbers = {call.name: number for number, call in table.items()}
    code = supervised.filter_of("mkdirat")
    assert run(code, numbers["mkdirat"]) == NOTIFY
    assert {run(code, number) for number in table if number != numbers["mkdirat"]} == {ALLOW}
    assert run(supervised.filter_of(None), numbers["openat2"]) == NOTIFY


def test_what_differs_between_reports() -> None:
    mounts = [
        {"id": 7, "target": "/proc", "options": "rw", "super_options": "rw,nr_inodes=3"},
        {"id": 8, "target": "/proc", "options": "ro", "super_options": "ro"},
    ]
    right = proof({"pid": 1, "umask": 18, "mounts": mounts})
    same = [{**mounts[0], "id": 99, "super_options": "rw,nr_inodes=4"}, mounts[1]]
    assert differences(right, proof({"pid": 2, "umask": 18, "mounts": same})) == []
    assert differences(right, proof({"umask": 0, "mounts": mounts})) == ["umask is 0, not 18"]
    assert differences(right, proof({"umask": 18, "mounts": mounts[:1]})) == ["nothing is mounted on /proc (2)"]
    json.dumps(right)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--errno", "EMOON"], "EMOON"), (["--call", "moon"], "moon"), (["--runtime", "/nowhere"], "/nowhere")],
)
def test_mistakes_on_the_command_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "faults", *words]) == 2
    assert said in capsys.readouterr().err
