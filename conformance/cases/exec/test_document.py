"""`exec --process FILE`: each member of the document reaches the process, and what it leaves out is not the
container's."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.conftest import GID
from seatrial.conformance.cases.exec.executing import documented, words
from seatrial.conformance.driver.bundle import PROBE
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.driver.probe import Report, parse

pytestmark = [needs("exec", "ids"), profile("runc-compat")]

USER = "config/posix-platform-user/"
PROCESS = "config/linux-process/"


def run(container: Container, **members: Any) -> Report:
    """The report of a probe that a document with these members describes."""
    document = {"args": words(), "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 7, "gid": GID}, **members}
    result = documented(container, document).check()
    return parse(result.stdout, result)


@covers(USER + "1", USER + "2", USER + "5", "config/process/11", "config/process/9")
def test_what_is_left_out_is_not_the_containers(container: Container) -> None:
    """User, groups (crun 0.19.1), environment and directory are those of the document alone."""
    report = run(container, user={"uid": 7, "gid": 8, "additionalGids": [9]})
    assert (report["ids"]["uid"], report["ids"]["gid"]) == ([7] * 4, [8] * 4)
    assert set(report["ids"]["groups"]) - {8} == {9}
    assert "KEPT" not in report.env
    assert report["cwd"] == "/"


@covers(USER + "3")
def test_umask(container: Container) -> None:
    """user.umask."""
    assert run(container, user={"uid": 7, "gid": GID, "umask": 0o27})["umask"] == 0o27


@covers(PROCESS + "6", PROCESS + "8")
def test_capabilities(container: Container) -> None:
    """capabilities: each set is that of the document, as far as execve(2) lets another user than root keep it."""
    wanted = {kind: ["CAP_KILL"] for kind in ("permitted", "effective", "inheritable", "ambient")}
    wanted["bounding"] = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
    report = run(container, capabilities=wanted)
    assert {kind: report.caps(kind) for kind in wanted} == {kind: set(names) for kind, names in wanted.items()}


@covers("config/posix-process/6")
def test_limits(container: Container) -> None:
    """rlimits, beyond one that the container's process has too (runc 4277: RLIMIT_NOFILE)."""
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88},
        {"type": "RLIMIT_CORE", "soft": 1, "hard": 2},
    ]
    report = run(container, rlimits=limits)
    assert (report.rlimit("RLIMIT_NOFILE"), report.rlimit("RLIMIT_CORE")) == ((77, 88), (1, 2))


@covers(PROCESS + "15", PROCESS + "20")
def test_scheduler(container: Container) -> None:
    """scheduler: policy and nice value (runc 4327: not ignored)."""
    found = run(container, scheduler={"policy": "SCHED_BATCH", "nice": 5})["scheduler"]
    assert (found["policy_name"], found["nice"]) == ("SCHED_BATCH", 5)


@covers(PROCESS + "38", PROCESS + "42")
def test_io_priority(container: Container) -> None:
    """ioPriority: class and level (runc 4585)."""
    found = run(container, ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 6})["io_priority"]
    assert (found["class"], found["level"]) == (2, 6)


@covers("config/process/14", "config/process/12")
def test_args_are_the_documents(container: Container) -> None:
    """args: whole, with what looks like an option; argv[0] too."""
    report = run(container, args=[PROBE, "report", "--", "print", "--cwd", "--", "print", ""])
    assert report["argv"] == [PROBE, "report", "--", "print", "--cwd", "--", "print", ""]


@covers("config/process/12", "runtime/errors/1")
@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"args": "/probe", "cwd": "/"}'], ids=["empty", "half", "list", "text"]
)
def test_no_document_at_all_is_refused(container: Container, text: str) -> None:
    """A file that is no process: an error, and nothing runs."""
    path = container.bundle.outside("process-bad.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    result = container.exec(check=False, process=path)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    run(container)


@covers("runtime/errors/1")
def test_missing_document_is_refused(container: Container) -> None:
    """A path that does not exist."""
    result = container.exec(check=False, process=container.bundle.outside("process-missing.json"))
    assert not result.ok, result.describe()
    run(container)
