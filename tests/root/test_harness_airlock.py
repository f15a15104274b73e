"""The airlock: what a command sees inside, and that nothing is left outside, whatever ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from traces import mine, roots, until

from seatrial.conformance.airlock import cgroups, confine, subtree
from seatrial.conformance.airlock.airlock import FIRST_PID, Request, open_airlock
from seatrial.conformance.driver.execute import alive
from seatrial.conformance.errors import EnvironmentProblem

LOOK = """
import json, os
from seatrial.conformance.airlock import cgroups
from seatrial.conformance.airlock.subtree import hierarchies
from seatrial.native import mount_api
os.mkdir("/run/made-inside")
for place in hierarchies():
    if place.version == 1:
        os.mkdir(os.path.join(place.mount, "left"))
os.mkdir("%(work)s/mounted")
mount_api.mount("tmpfs", "%(work)s/mounted", "tmpfs")
view = cgroups.read_view()
with open("/proc/self/cgroup") as file:
    paths = {line.strip().split(":", 2)[2] for line in file}
result = {
    "pid": os.getpid(),
    "pid_of_parent": os.getppid(),
    "mode": view.mode,
    "cgroups": sorted(paths),
    "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "ipc", "uts", "cgroup")},
    "controllers": sorted(view.controllers()),
}
print(json.dumps(result), flush=True)
"""


def surroundings() -> dict[str, object]:
    """What a run must leave as it was."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split(" ", 1)[1] for line in file if not of_another_worker(line.split()[4])]
    trees = {root: sorted(name for name in os.listdir(root) if name.startswith(subtree.PREFIX)) for root in roots()}
    return {"mounts": mounts, "cgroups": trees, "run": sorted(os.listdir("/run"))}


def of_another_worker(path: str) -> bool:
    """Whether a path belongs to a test that runs at the same time, and may mount what it likes there."""
    own = os.environ.get("PYTEST_XDIST_WORKER", "")
    return path.startswith("/tmp/seatrial-test-") or ("/popen-gw" in path and f"/popen-{own}/" not in path)


class Opened:
    """A command in the airlock; close() is the lifeline."""

    def __init__(self, base: Path, command: list[str], view: str = "host") -> None:
        self.work = base / "work"
        self.work.mkdir()
        self.log = base / "log"
        reader, self.lifeline = os.pipe()
        request = Request(command, view, None, reader, [], str(self.work), str(self.log))
        self.process = open_airlock(request, dict(os.environ))
        os.close(reader)

    def close(self) -> None:
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> str:
        """The janitor's complaints."""
        return self.process.communicate(timeout=15)[1].decode()


def look(base: Path, view: str) -> tuple[dict[str, object], int]:
    script = LOOK % {"work": base / "work"}
    opened = Opened(base, [sys.executable, "-c", script], view)
    _, complaint = opened.process.communicate(timeout=30)
    opened.close()
    assert opened.process.returncode == 0, complaint.decode() + opened.log.read_text()
    assert not opened.work.exists()
    return json.loads(opened.log.read_text()), opened.process.pid


def test_command_sees_its_own_namespaces_and_leaves_nothing(tmp_path: Path) -> None:
    before = surroundings()
    seen, pid = look(tmp_path, "host")
    assert seen["pid_of_parent"] == 1
    assert int(str(seen["pid"])) >= FIRST_PID  # out of the way of runtimes that confuse pid namespaces
    assert seen["mode"] == cgroups.read_view().mode
    assert set(seen["cgroups"]) <= {"/", "/" + subtree.LEAF}  # type: ignore[call-overload]
    for name, text in seen["namespaces"].items():  # type: ignore[attr-defined]
        assert text != os.readlink(f"/proc/self/ns/{name}")
    assert mine(pid) == []
    assert surroundings()["mounts"] == before["mounts"]
    assert "made-inside" not in os.listdir("/run")


@pytest.mark.parametrize("view", ["v1", "v2", "hybrid"])
def test_view_is_the_one_asked_for(tmp_path: Path, view: str) -> None:
    try:
        confine.choose(view)
    except EnvironmentProblem as error:
        pytest.skip(str(error))
    seen, _ = look(tmp_path, view)
    assert seen["mode"] == view


def test_closed_lifeline_ends_everything(tmp_path: Path) -> None:
    opened = Opened(tmp_path, ["sleep", "1000"])
    until(lambda: bool(mine(opened.process.pid)) and opened.log.exists())
    places = mine(opened.process.pid)
    inside = {pid for place in places for pid in subtree.processes(place)}
    assert inside
    opened.close()
    opened.wait()
    assert mine(opened.process.pid) == []
    assert not opened.work.exists()
    assert not any(alive(pid) for pid in inside)


def test_killed_janitor_leaves_no_process_and_the_next_one_sweeps(tmp_path: Path) -> None:
    opened = Opened(tmp_path, ["sleep", "1000"])
    until(lambda: opened.log.exists() and bool(mine(opened.process.pid)))
    inside = {pid for place in mine(opened.process.pid) for pid in subtree.processes(place)}
    opened.kill()
    until(lambda: not any(alive(pid) for pid in inside))
    opened.close()
    subtree.sweep_stale()
    assert mine(opened.process.pid) == []


def test_check_reports_findings_for_a_runtime_that_does_nothing(tmp_path: Path) -> None:
    before = surroundings()
    seatrial = [sys.executable, "-m", "seatrial.conformance.cli"]
    results = tmp_path / "results.jsonl"
    check = ["check", "--runtime", "/bin/false", "-k", "test_state_of", "-n", "1", "--report", f"json={results}"]
    done = subprocess.run(
        [*seatrial, *check], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert lines[0]["kind"] == "stamp"
    assert lines[0]["airlock"] is True
    found = [line for line in lines if line["kind"] == "result"]
    assert found
    assert {line["outcome"] for line in found} == {"failed"}
    assert f"seatrial replay {found[0]['evidence']}" in done.stdout
    again = subprocess.run(
        [*seatrial, "replay", found[0]["evidence"]], capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 1
    assert f"failed: {found[0]['case']}" in again.stdout
    assert "reproduced" in again.stdout
    assert surroundings()["mounts"] == before["mounts"]
    assert surroundings()["run"] == before["run"]


def test_subtrees_of_other_pid_namespaces_are_spared() -> None:
    """A pid says nothing about a harness in a container that sees the same hierarchies."""
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    ours, theirs = subtree.name_for(dead.pid), f"{subtree.PREFIX}{dead.pid}-1"
    made = [os.path.join(root, name) for root in roots() for name in (ours, theirs)]
    for path in made:
        os.mkdir(path)
    try:
        subtree.sweep_stale()
        assert [path for path in made if os.path.exists(path)] == [path for path in made if path.endswith(theirs)]
    finally:
        for path in made:
            if os.path.exists(path):
                os.rmdir(path)
