"""The sweep finds what it is there for: runtimes with a planted bug in how they fail, and none in the reference."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
SECONDS = 240

# What becomes of a command that fails: the planted bugs, in a shell around the reference runtime.
TWINS = {
    "hang": "sleep 300",
    "crash": "kill -SEGV $$",
    "wrong result": "exit 0",
    "leak": "(setsid sleep 300 >/dev/null 2>&1 &)",
}
TWIN = """#!/bin/sh
case "$*" in *" {verb} "*) ;; *) exec {runtime} "$@" ;; esac
{runtime} "$@"
status=$?
[ $status = 0 ] || {{ {bug}; }}
exit $status
"""


def sweep(directory: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    file = directory / "results.jsonl"
    argv = [sys.executable, "-m", "seatrial.conformance.cli", "sweep", *words, "--results", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=directory)
    return done, [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("bug", sorted(TWINS))
def test_a_planted_bug_is_found(tmp_path: Path, bug: str) -> None:
    twin = tmp_path / "twin"
    twin.write_text(TWIN.format(runtime=RUNTIME, verb="create", bug=TWINS[bug]))
    twin.chmod(0o755)
    words = ["--op", "create", "--call", "mkdir", "--errno", "EROFS", "--shard", "1/4", "--timeout", "30", "-n", "1"]
    if bug == "hang":
        words[words.index("30")] = "5"
    done, entries = sweep(tmp_path, "faults", "--runtime", str(twin), *words)
    kinds = {kind for entry in entries for kind, _ in entry.get("findings", ())}  # type: ignore[attr-defined]
    assert done.returncode == 1, done.stdout + done.stderr
    assert bug in kinds
    assert bug in done.stdout


@pytest.mark.parametrize("operation", ["pause", "start", "update"])
def test_the_reference_fails_well(tmp_path: Path, operation: str) -> None:
    done, entries = sweep(tmp_path, "faults", "--op", operation, "--errno", "EIO,ENOMEM,EPERM", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum("ending" in entry for entry in entries) >= 5


@pytest.mark.parametrize("operation", ["create", "exec"])
def test_the_reference_crashes_well(tmp_path: Path, operation: str) -> None:
    done, entries = sweep(tmp_path, "crash", "--op", operation, "--shard", "1/8", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(entry.get("ending") == "killed" for entry in entries) >= 5


def test_a_runtime_that_does_not_work_is_no_verdict(tmp_path: Path) -> None:
    done, _ = sweep(tmp_path, "faults", "--runtime", "/bin/false", "--op", "create")
    assert done.returncode == 2
    assert "create goes wrong without any fault" in done.stderr


def test_one_point_alone(tmp_path: Path) -> None:
    done, entries = sweep(tmp_path, "faults", "--op", "kill", "--point", "pidfd_send_signal - #1 EPERM")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["ending"] for entry in entries if "ending" in entry] == ["error exit"]


def test_errors_of_the_executor_name_the_operation(tmp_path: Path) -> None:
    """Whatever call of an operation fails, the message says which operation of how many, on what, and the errno."""
    done, entries = sweep(tmp_path, "faults", "--op", "run", "--errno", "EPERM", "--shard", "1/6", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    ours = [entry for entry in entries if str(entry.get("program")).startswith("memfd:")]
    failed = [str(entry["said"]) for entry in ours if entry["ending"] == "error exit"]
    assert len(failed) >= 20
    assert [said for said in failed if not re.search(r": EPERM.* \(operation \d+ of \d+\)", said)] == []


@pytest.mark.parametrize("point", ["sendmsg socket:[RANDOM] #1 ENOMEM", "sendmsg socket:[RANDOM] #3 EPIPE"])
def test_a_process_of_a_failed_exec_holds_nothing_up(tmp_path: Path, point: str) -> None:
    """It dies as an orphan, and init only when somebody has reaped it; and who is told EPIPE of a peer that is alive
    does not wait for its end."""
    done, entries = sweep(tmp_path, "faults", "--op", "exec", "--point", point, "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["ending"] for entry in entries if "ending" in entry] == ["error exit"]


def test_a_lock_that_cannot_be_released_is_no_deadlock(tmp_path: Path) -> None:
    """`run` removes the container in the same thread, after the release of the lock has failed."""
    done, entries = sweep(tmp_path, "faults", "--op", "run", "--point", "flock state/ID #2 ENOLCK", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["ending"] for entry in entries if "ending" in entry] == ["error exit"]


def test_a_start_time_that_cannot_be_read_fails_create(tmp_path: Path) -> None:
    """Without it the container would count as stopped at once."""
    done, entries = sweep(tmp_path, "faults", "--op", "create", "--point", "openat proc/N/stat #1 EMFILE")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["ending"] for entry in entries if "ending" in entry] == ["error exit"]


NOT_TAKEN = """
import os
from seatrial.conformance.driver.execute import Start
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sweep import calls, launch
from seatrial.native import pidfd

def refuse(process, number):
    raise PermissionError(1, "no")

pidfd.pidfd_getfd = refuse
before = os.listdir("/proc/self/fd")
table = calls.by_number()
filter = launch.program(table, next(number for number, call in table.items() if call.name == "write"))
try:
    launch.launch(Start(["/bin/true"], {}, 5.0, None, (0, 1, 2), (), ()), filter)
except EnvironmentProblem as problem:
    print(problem)
assert len(os.listdir("/proc/self/fd")) == len(before)
try:
    os.waitpid(-1, os.WNOHANG)
    print("a child is left")
except ChildProcessError:
    print("no child")
"""


def test_a_listener_that_cannot_be_taken_leaves_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", NOT_TAKEN], capture_output=True, text=True, timeout=60, check=False)
    assert "listener of /bin/true: EPERM" in done.stdout, done.stderr
    assert "no child" in done.stdout
