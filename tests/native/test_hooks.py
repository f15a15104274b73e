"""Hooks in the container: state, environment, time limit, last words, and no zombie."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import Any

import pytest
from executor_driver import Operation, Outcome, run
from plans import container

pytestmark = pytest.mark.root

INDEX = 14  # of the first hook: after birth, mounts, the root, the host name and mkdir


def hook(path: str, *args: str, timeout: int = 0, state: tuple[bytes, bytes] = (b"", b"")) -> Operation:
    return ("hook", "startContainer", path, [path, *args] if args else [], [], timeout, *state)


def after(executor: list[str], rootfs: str, *hooks: Operation, verbs: str = "report") -> Outcome:
    rows: list[Operation] = [("mkdir", "/out", 0o755), *hooks]
    return run(executor, container(rootfs, ["probe", *verbs.split()], after=rows))


def failure(executor: list[str], rootfs: str, row: Operation) -> tuple[str, str]:
    index, error, detail = after(executor, rootfs, row).error
    assert index == INDEX
    return error, detail


def test_the_state_is_on_stdin(executor: list[str], rootfs: str) -> None:
    state = (b'{"id":"x","pid":', b',"annotations":{}}')
    outcome = after(
        executor, rootfs, hook("/bin/probe", "state-to", "/out/state", state=state), verbs="read /out/state"
    )
    assert json.loads(outcome.value()) == {"id": "x", "pid": 1, "annotations": {}}


def test_a_large_state_is_read_at_leisure_or_not_at_all(executor: list[str], rootfs: str) -> None:
    """crun 1.17: larger than a pipe, and a hook that never reads."""
    state = (b"[" + b'"' + b"x" * 800_000 + b'",', b"]")
    rows = [
        hook("/bin/probe", "print", "unread", state=state),
        hook("/bin/probe", "sleep", "0.2", "--", "state-to", "/out/state", state=state),
    ]
    outcome = after(executor, rootfs, *rows, verbs="stat /out/state")
    assert outcome.value()["size"] == 800_006


def test_environment_and_arguments_are_exact(executor: list[str], rootfs: str) -> None:
    def report(row: Operation) -> dict[str, Any]:
        shutil.rmtree(os.path.join(rootfs, "out"), ignore_errors=True)
        outcome = after(executor, rootfs, row, verbs="read /out/report")
        found: dict[str, Any] = json.loads(outcome.value())
        return found

    given = report(("hook", "h", "/bin/probe", ["other", "report", "--to", "/out/report"], ["A=1"], 0, b"", b""))
    assert (given["argv"][0], given["env"]) == ("other", ["A=1"])
    empty = report(hook("/bin/probe", "report", "--to", "/out/report"))
    assert (empty["argv"][0], empty["env"]) == ("/bin/probe", [])
    assert {item["fd"] for item in empty["fds"]} <= {0, 1, 2, 3}
    assert empty["signals"] == given["signals"]
    assert int(empty["signals"]["blocked"], 16) == 0
    assert int(empty["signals"]["ignored"], 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGCHLD - 1) == 0


def test_before_the_root_changes(executor: list[str], rootfs: str, static_programs: dict[str, str]) -> None:
    """createContainer: the host's program, from the rootfs, in the container's namespaces."""
    row = hook(static_programs["probe"], "report", "--to", "etc/report")
    outcome = run(executor, container(rootfs, ["probe", "read", "/etc/report"], before=[row]))
    report = json.loads(outcome.value())
    assert report["cwd"] == rootfs
    assert "/etc" not in [mount["target"] for mount in report["mounts"]]


def test_a_hook_has_the_callers_umask_until_one_is_set(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("mkdir", "/out", 0o755),
        hook("/bin/probe", "touch", "/out/a"),
        ("umask", 0o77),
        hook("/bin/probe", "touch", "/out/b"),
    ]
    run(executor, container(rootfs, ["probe"], after=rows), umask=0o027)
    modes = [oct(os.stat(os.path.join(rootfs, "out", name)).st_mode & 0o777) for name in "ab"]
    assert modes == ["0o640", "0o600"]


def test_a_failing_hook_says_why(executor: list[str], rootfs: str) -> None:
    error, detail = failure(executor, rootfs, hook("/bin/probe", "fail", "3", "the disk is on fire"))
    assert error == "ECANCELED"
    assert detail.startswith("hook /bin/probe ended with status 3: ")
    assert "the disk is on fire" in detail


def test_only_the_tail_of_much_output_is_kept(executor: list[str], rootfs: str) -> None:
    words = ["print", "x" * 3000, "--", "print", "y" * 3000, "--", "fail", "4", "last words"]
    _, detail = failure(executor, rootfs, hook("/bin/probe", *words))
    assert detail.startswith("hook /bin/probe ended with status 4: ")
    assert "last words" in detail
    assert "x" not in detail.partition(": ")[2].replace("next", "")
    assert len(detail) < 1200


def test_a_killed_hook(executor: list[str], rootfs: str) -> None:
    error, detail = failure(executor, rootfs, hook("/bin/probe", "child", "getpid", "--", "kill", "0", "15"))
    assert (error, detail.partition(":")[0]) == ("ECANCELED", "hook /bin/probe was killed by signal 15")


@pytest.mark.parametrize(("path", "error"), [("/bin/nosuch", "ENOENT"), ("/etc", "EACCES"), ("/text", "ENOEXEC")])
def test_a_hook_that_cannot_be_executed(executor: list[str], rootfs: str, path: str, error: str) -> None:
    with open(os.path.join(rootfs, "text"), "w") as file:
        file.write("no program")
    os.chmod(os.path.join(rootfs, "text"), 0o755)
    assert failure(executor, rootfs, hook(path)) == (error, f"hook {path} cannot be executed")


def test_a_hook_that_takes_too_long_is_killed(executor: list[str], rootfs: str) -> None:
    begin = time.monotonic()
    error, detail = failure(executor, rootfs, hook("/bin/probe", "print", "patience", "--", "sleep", "30", timeout=1))
    assert 0.9 < time.monotonic() - begin < 10
    assert error == "ETIMEDOUT"
    assert detail.startswith("hook /bin/probe timed out after 1 s")


def test_a_hook_within_its_time(executor: list[str], rootfs: str) -> None:
    assert after(executor, rootfs, hook("/bin/probe", "sleep", "0.1", timeout=20)).status == 0


def test_no_zombie_is_left(executor: list[str], rootfs: str) -> None:
    """The program starts as the only process of its pid namespace."""
    rows = [hook("/bin/probe", "print", "x"), hook("/bin/probe", "print", "x", timeout=5)]
    assert after(executor, rootfs, *rows, verbs="stat /proc/2").lines[0]["errno"] == "ENOENT"


def test_the_first_failure_stops(executor: list[str], rootfs: str) -> None:
    rows = [hook("/bin/probe", "fail", "1"), hook("/bin/probe", "touch", "/out/second")]
    assert after(executor, rootfs, *rows).error[0] == INDEX
    assert not os.path.exists(os.path.join(rootfs, "out", "second"))
