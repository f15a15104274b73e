"""The same container, process document and console socket, used again and again: a failed attempt disturbs none that
follows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.airlock import leaks, orphans
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import detached, held, words
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import RuntimeTimeout

pytestmark = [needs("exec"), profile("runc-compat")]

STATUS, ERROR, TERMINAL = "config/process/14", "runtime/errors/1", "config/process/4"
TIMES = 10
FULL = "append /starts x -- read-fd 0 -- list /proc -- exit 9"


class Attempt:
    """A process document in a file, and `exec` with it.  The document says what the parts of an engine say that change
    from process to process, and stays as it is from attempt to attempt."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.bundle = container.bundle
        self.path = self.bundle.outside("process.json")
        self.options: dict[str, Any] = {}
        self.broken_off = False
        self.document: dict[str, Any] = {
            "args": words(FULL),
            "cwd": "/",
            "env": ["PATH=/bin", "ATTEMPT=same"],
            "user": {"uid": 0, "gid": 0},
        }

    def write(self) -> Attempt:
        """Put the document into its file."""
        with open(self.path, "w", encoding="utf-8") as file:
            text = json.dumps(self.document)
            file.write(text[:20] if self.broken_off else text)
        return self

    def text(self) -> str:
        """What the file holds now."""
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def execute(self) -> Result:
        """One exec in the foreground."""
        return self.container.exec(check=False, stdin=b"typed", process=self.path, **self.options)

    def succeed(self, starts: int) -> None:
        """It runs as the document says, for the `starts`-th time, beside init alone."""
        result = self.execute()
        assert result.status == 9, f"{result.describe()}: {result.stderr}"
        report = parse(result.stdout, result)
        assert report.env["ATTEMPT"] == "same"
        assert report.verb("read-fd", "0").value == "typed"
        assert len([name for name in report.verb("list", "/proc").value if name.isdigit()]) == 2
        with open(self.bundle.rootfs + "/starts", encoding="ascii") as file:
            assert file.read() == "x" * starts
        assert self.container.status() == "running"


# -- what is missing at the first attempt, and how it is provided ------------------------------------------------------


def no_program(attempt: Attempt) -> Callable[[], object]:
    """The program comes later."""
    attempt.document["args"] = ["/late", *attempt.document["args"][1:]]
    return lambda: os.link(attempt.bundle.rootfs + PROBE, attempt.bundle.rootfs + "/late")


def no_permission(attempt: Attempt) -> Callable[[], object]:
    """The program is not executable at first."""
    attempt.document["args"] = ["/closed", *attempt.document["args"][1:]]
    with open(attempt.bundle.rootfs + PROBE, "rb") as file:
        path = attempt.bundle.file("/closed", file.read(), 0o600)
    return lambda: os.chmod(path, 0o755)


def no_directory(attempt: Attempt) -> Callable[[], object]:
    """The working directory comes later."""
    attempt.document["cwd"] = "/later/on"
    return lambda: attempt.bundle.directory("/later/on")


def a_file_as_directory(attempt: Attempt) -> Callable[[], object]:
    """The working directory is a file at first."""
    attempt.document["cwd"] = "/place"
    path = attempt.bundle.file("/place")

    def repair() -> None:
        os.unlink(path)
        attempt.bundle.directory("/place")

    return repair


def no_json(attempt: Attempt) -> Callable[[], object]:
    """The document is broken off at first."""
    attempt.broken_off = True

    def repair() -> None:
        attempt.broken_off = False
        attempt.write()

    return repair


def no_place_for_the_pid(attempt: Attempt) -> Callable[[], object]:
    """The directory of the pid file comes later."""
    attempt.options["pid_file"] = attempt.bundle.outside("pids/exec.pid")
    return lambda: os.mkdir(attempt.bundle.outside("pids"))


FAULTS = {
    "program": no_program,
    "permission": no_permission,
    "directory": no_directory,
    "file-as-directory": a_file_as_directory,
    "json": no_json,
    "pid-file": no_place_for_the_pid,
}


def _ended(before: set[int]) -> bool:
    """Whether all processes of attempts that failed have ended; those that a runtime leaves to be reaped are reaped:
    they are the matter of test_fallback's test_a_real_error_stays_one."""

    def left() -> list[str]:
        orphans.reap()
        return [str(pid) for pid in orphans.children() - before]

    return leaks.settle(left) == []


@covers(ERROR, STATUS)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_failure(runtime: Runtime, bundle: Bundle, fault: str, times: int) -> None:
    """The attempt fails as often as it is made; once what was missing is there, the same document works, twice."""
    attempt = Attempt(held(runtime, bundle))
    repair = FAULTS[fault](attempt)
    attempt.write()
    before = orphans.children()
    for _ in range(times):
        result = attempt.execute()
        assert not result.ok, result.describe()
        assert not result.crashed, result.describe()
        assert result.status != 9
    if fault != "pid-file":  # a runtime may notice that when the program is on its way already, and kill it
        assert not os.path.exists(bundle.rootfs + "/starts")
    assert _ended(before), "a process of a failed attempt goes on"
    bundle.file("/starts")
    assert attempt.container.status() == "running"
    repair()
    attempt.succeed(1)
    attempt.succeed(2)
    assert leaks.settle(lambda: [str(pid) for pid in orphans.children() - before]) == []


@covers(ERROR, STATUS)
def test_after_an_unknown_user(runtime: Runtime, bundle: Bundle) -> None:
    """--user with what is no user, then with one: the second is that one."""
    container = held(runtime, bundle)
    for _ in range(2):
        result = container.exec(*words(), check=False, user="nobody-of-that-name:nowhere")
        assert not result.ok, result.describe()
        good = container.exec(*words(), user="7:8")
        assert parse(good.stdout, good)["ids"]["uid"] == [7] * 4
    plain = container.exec(*words())
    assert parse(plain.stdout, plain)["ids"]["uid"] == [0] * 4


@covers(STATUS)
def test_the_same_document_again_and_again(runtime: Runtime, bundle: Bundle) -> None:
    """Every process is what the document says, and the document is nobody's to change."""
    attempt = Attempt(held(runtime, bundle)).write()
    text = attempt.text()
    for number in range(1, TIMES + 1):
        attempt.succeed(number)
        assert attempt.text() == text


@covers(STATUS, "config/process/11")
def test_nothing_passes_from_one_process_to_the_next(runtime: Runtime, bundle: Bundle) -> None:
    """What one exec is given (environment, user, directory, capabilities) is not there in the next."""
    bundle.directory("/srv")
    container = held(runtime, bundle)
    first = container.exec(*words())
    plain = parse(first.stdout, first)
    given = container.exec(*words(), env=["EXTRA=1"], user="7:8", cwd="/srv", cap="CAP_SYS_ADMIN")
    assert parse(given.stdout, given).env["EXTRA"] == "1"
    again = container.exec(*words())
    report = parse(again.stdout, again)
    for member in (
        "env",
        "ids",
        "cwd",
        "caps",
        "rlimits",
        "umask",
        "cgroup",
        "seccomp",
        "no_new_privs",
        "oom_score_adj",
    ):
        assert report[member] == plain[member], member


@needs("tty")
@covers(TERMINAL)
def test_one_console_socket_for_many(runtime: Runtime, bundle: Bundle) -> None:
    """Each process sends exactly one terminal to the same socket, one of its own, and hangs up at its end."""
    container = held(runtime, bundle)
    with ConsoleSocket(bundle.outside("console")) as listener:
        for number in range(5):
            options: dict[str, Any] = {"tty": True, "console_socket": listener.path}
            with detached(container, *words(f"tty-info -- print turn-{number}"), **options):
                terminal = listener.receive()
                report = parse(terminal.read_to_end())
            assert report.verb("print").value == f"turn-{number}"
            assert [stream["tty"] for stream in report.verb("tty-info").value["streams"]] == [True] * 3
            assert not listener.waiting()


@needs("tty")
@covers(TERMINAL, ERROR)
def test_the_console_socket_after_a_failure(runtime: Runtime, bundle: Bundle) -> None:
    """A program that is not there may have a terminal already, which is hung up; the next process has its own."""
    container = held(runtime, bundle)
    with ConsoleSocket(bundle.outside("console")) as listener:
        options: dict[str, Any] = {"tty": True, "detach": True, "console_socket": listener.path}
        result = container.exec("/not/there", check=False, **options)
        assert not result.ok, result.describe()
        if listener.waiting():
            with contextlib.suppress(AssertionError):  # connected, and nothing sent
                listener.receive().read_to_end()
        assert not listener.waiting()
        with detached(container, *words("tty-info"), tty=True, console_socket=listener.path):
            report = parse(listener.receive().read_to_end())
        assert report.verb("tty-info").value["controlling"] is True
        assert not listener.waiting()
    assert container.status() == "running"


@needs("tty")
@covers(TERMINAL, ERROR)
def test_after_a_console_socket_that_is_not_there(runtime: Runtime, bundle: Bundle) -> None:
    """Nobody listens at first; then somebody does, at the same path."""
    container = held(runtime, bundle)
    path = bundle.outside("console")
    result = container.exec(*words(), check=False, tty=True, detach=True, console_socket=path)
    assert not result.ok, result.describe()
    with ConsoleSocket(path) as listener, detached(container, *words(), tty=True, console_socket=path):
        assert parse(listener.receive().read_to_end())["controlling_tty"] is True


@covers(ERROR, STATUS)
@pytest.mark.parametrize("seconds", [0.01, 0.5])
def test_after_a_killed_runtime(runtime: Runtime, bundle: Bundle, seconds: float) -> None:
    """The runtime is killed (SIGKILL) in the middle of an exec: the container goes on, and takes the next process."""
    runtime.prove_sane()
    attempt = Attempt(held(runtime, bundle)).write()
    container = attempt.container
    before = orphans.children()
    with contextlib.suppress(RuntimeTimeout):
        container.exec(PROBE, "hold", timeout=seconds)
    for pid in orphans.children() - before:
        orphans.kill(pid)  # what was executed lives on, and is an orphan, ours
    orphans.reap()
    assert container.status() == "running"
    attempt.succeed(1)


@covers(ERROR, "runtime/create/12", "runtime/create/7")
@pytest.mark.parametrize("fault", ["program", "mount"])
def test_create_after_a_failed_one(runtime: Runtime, bundle: Bundle, fault: str) -> None:
    """The same id and the same bundle: what a failed create (or, for a missing program, start) has begun is gone when
    it is taken back, and the next one works."""
    runtime.prove_sane()
    bundle.probe("append /starts x -- exit 0")
    if fault == "mount":
        bundle.mount("/there", "none", bundle.outside("later"), "bind")
    else:
        bundle.process["args"][0] = "/late"
    failed = runtime.create(bundle, check=False)
    ended = failed.created if not failed.created.ok else failed.start(check=False)
    assert not ended.ok, ended.describe()
    if failed.created.ok:
        failed.delete(force=True)
    else:
        assert not runtime.state(failed.id).ok
    if fault == "mount":
        os.mkdir(bundle.outside("later"))
    else:
        os.link(bundle.rootfs + PROBE, bundle.rootfs + "/late")
    container = runtime.create(bundle)
    container.start()
    container.wait_status("stopped")
    with open(bundle.rootfs + "/starts", encoding="ascii") as file:
        assert file.read() == "x"
    container.delete()
