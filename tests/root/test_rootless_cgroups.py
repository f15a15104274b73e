"""A cgroup that was delegated to an ordinary user: limits, pause, statistics and removal work there as for root."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import pytest
from ordinary_user import ID
from reachable import reachable_directory
from test_rootless_container import Sailor

from seatrial.conformance.airlock.subtree import hierarchies

NAME = f"seatrial-delegated-{ID}"


@pytest.fixture
def sailor() -> Iterator[Sailor]:
    with reachable_directory() as home:
        one = Sailor(home)
        one.cgroup = NAME
        yield one
        for name in one.containers():
            one("delete", "--force", name)
        left = []
        for directory in delegated():
            left += [entry.path for entry in os.scandir(directory) if entry.is_dir()]
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        assert left == []
        assert delegated() == []


def delegated() -> list[str]:
    """The user's cgroups."""
    return [path for place in hierarchies() if os.path.isdir(path := os.path.join(place.own, NAME))]


def file(container: str, name: str) -> str:
    """What a cgroup file of the container says, in whatever hierarchy has it."""
    for directory in delegated():
        path = os.path.join(directory, container, name)
        if os.path.exists(path):
            with open(path, encoding="ascii") as opened:
                return opened.read().strip()
    raise FileNotFoundError(name)


def has(controller: str) -> bool:
    return any(controller in place.option.split(",") for place in hierarchies())


def test_limits_hold(sailor: Sailor) -> None:
    if not has("pids") or not has("memory"):
        pytest.skip("no pids and memory controllers of cgroup v1")
    # The rules of an engine that takes everybody for root: an ordinary user may set none, and needs none.
    limits = {"pids": {"limit": 10}, "memory": {"limit": 1 << 26}, "devices": [{"allow": False, "access": "rwm"}]}
    sailor.bundle.config["linux"]["resources"] = limits
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    pid = json.loads(sailor("state", "c").stdout)["pid"]
    assert (file("c", "pids.max"), file("c", "memory.limit_in_bytes")) == ("10", str(1 << 26))
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as opened:
        assert all(line.strip().endswith(f"/{NAME}/c") for line in opened if ":pids:" in line or ":memory:" in line)
    sailor("update", "--pids-limit", "20", "c")
    assert file("c", "pids.max") == "20"
    sailor("delete", "--force", "c")
    assert not any(os.path.exists(os.path.join(directory, "c")) for directory in delegated())


def test_pause_and_ps(sailor: Sailor) -> None:
    if not has("freezer"):
        pytest.skip("no freezer of cgroup v1")
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    sailor("pause", "c")
    assert json.loads(sailor("state", "c").stdout)["status"] == "paused"
    sailor("resume", "c")
    pid = json.loads(sailor("state", "c").stdout)["pid"]
    assert json.loads(sailor("ps", "--format", "json", "c").stdout) == [pid]
    sailor("kill", "c", "KILL")


def test_without_delegation_there_is_an_error_with_a_hint(sailor: Sailor) -> None:
    sailor.cgroup = ""
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    for verb in ("pause", "ps"):
        done = sailor(verb, "c", check=False)
        assert done.returncode == 1
        assert "cgroup" in done.stderr, done.stderr
    assert json.loads(sailor("state", "c").stdout)["status"] == "running"
    sailor("kill", "--all", "c", "KILL")
    sailor("delete", "--force", "c")
