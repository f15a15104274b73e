"""`seatrial check` as an ordinary user: no failing case for the reference runtime, typed skips only, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ordinary_user
import pytest
from ordinary_user import ID, RANGES
from reachable import reachable_directory

from seatrial.conformance.engine import needs

SEATRIAL = os.path.join(os.path.dirname(sys.executable), "seatrial")
# Each kind of bundle and of skip that the whole suite has, in a few seconds.
SOME = "test_uid_is or test_additional or test_new_namespace or test_delete_removes or containerID or test_terminal["


def words(home: str, *options: str, ranges: str = "", view: str = "") -> list[str]:
    return ordinary_user.command(home, SEATRIAL, "check", "-n", "2", *options, ranges=ranges, view=view)


def processes() -> list[int]:
    """Of the ordinary user, and of the ids of its ranges."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                uid = os.stat(f"/proc/{entry}").st_uid
            except OSError:
                continue
            if uid == ID or ordinary_user.in_ranges(uid):
                found.append(int(entry))
    return found


@pytest.fixture
def home() -> Iterator[str]:
    with reachable_directory() as directory:
        yield directory


def results(home: str, *options: str, ranges: str = "", view: str = "") -> list[dict[str, object]]:
    """The entries of a run's JSON lines."""
    path = os.path.join(home, "results.jsonl")
    argv = words(home, "--report", f"json={path}", *options, ranges=ranges, view=view)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize("ranges", ["", RANGES], ids=["own-ids", "ranges"])
def test_the_reference_runtime_passes_with_typed_skips_only(home: str, ranges: str) -> None:
    entries = results(home, "-k", SOME, ranges=ranges)
    stamp = entries[0]
    assert (stamp["privilege"], stamp["airlock"]) == ("rootless", False)
    cases = {str(entry["case"]): entry for entry in entries if entry["kind"] == "result"}
    bad = {name: entry["reason"] for name, entry in cases.items() if entry["outcome"] not in ("passed", "skipped")}
    assert bad == {}
    skipped = {name: str(entry["reason"]) for name, entry in cases.items() if entry["outcome"] == "skipped"}
    for name, reason in skipped.items():
        if not reason.startswith("a correct "):  # value is refused as well: an id-mapped mount
            needs.check_word(reason.partition(": ")[0])  # HarnessBug for what is no need
            assert ": " in reason, name
    uid = "process/test_user.py::test_uid_is_that_of_the_program[1000]"
    assert (cases[uid]["outcome"] == "passed") is bool(ranges)
    assert ranges or skipped[uid].startswith("ids: only the own ids can be mapped: /etc/subuid has no range")
    assert any(reason.startswith("root: ") for reason in skipped.values())
    assert len(cases) - len(skipped) >= 8
    assert processes() == []


@pytest.mark.parametrize(("runtime", "view"), [("/usr/sbin/runc", ""), ("/usr/bin/crun", "v1")])
def test_other_runtimes_are_judged_as_the_user_too(home: str, runtime: str, view: str) -> None:
    """What they do right passes: the suite asks nothing of them that no user may."""
    good = "test_terminal[ or test_uid_is_that or test_gid_is_that or test_new_namespace[uts]"
    entries = results(home, "--runtime", runtime, "-k", good, view=view)
    outcomes = [entry["outcome"] for entry in entries if entry["kind"] == "result"]
    assert set(outcomes) == {"passed", "skipped"}, entries
    assert outcomes.count("passed") >= 3


def test_nothing_outlives_an_interrupted_check(home: str) -> None:
    process = subprocess.Popen(words(home, "-k", "lifecycle or namespaces"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(b"executor" in argv or b"/probe" in argv for argv in map(command_line, processes())):
        assert time.monotonic() < deadline
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)  # the whole of what asked for the run, at once
    process.wait()
    while processes():
        assert time.monotonic() < deadline, processes()
        time.sleep(0.05)
    assert [path for path in Path("/tmp").glob("seatrial-*") if path.stat().st_uid == ID and str(path) != home] == []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_cgroup_view_needs_root(home: str) -> None:
    done = subprocess.run(
        words(home, "-k", "terminal", "--cgroup-view", "v2"), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "the cgroup view v2 needs root" in done.stderr + done.stdout
