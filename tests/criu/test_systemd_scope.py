"""--systemd-cgroup: a restored container is in a scope.  No unit is real here (systemd_peer), but every cgroup is."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from shell_bundle import ShellBundle, Trial, content, count, until
from systemd_peer import SystemdPeer, system_bus

SLICE = f"stcriu{os.getpid()}.slice"
ID = "cr-scope"
UNIT = f"st-{ID}.scope"


@pytest.fixture
def peer(tmp_path: os.PathLike[str]) -> Iterator[SystemdPeer]:
    with system_bus(os.fspath(tmp_path), SLICE) as peer:
        yield peer


def scope(trial: Trial, bundle: ShellBundle) -> None:
    """A container in a scope, which counts."""
    bundle.config["linux"] |= {"cgroupsPath": f"{SLICE}:st:{ID}", "resources": {"pids": {"limit": 40}}}
    bundle.write()
    trial("--systemd-cgroup", "run", "--detach", "--bundle", bundle.path, ID)
    until(lambda: count(bundle) > 3, "the counter")


def restore(trial: Trial, bundle: ShellBundle, check: bool = True) -> Any:
    words = ["--detach", "--bundle", bundle.path, "--image-path", trial.images, ID]
    return trial("--systemd-cgroup", "restore", *words, check=check)


def directories() -> list[str]:
    return glob.glob(f"/sys/fs/cgroup/**/{UNIT}", recursive=True)


def test_restored_container_is_in_a_scope(peer: SystemdPeer, trial: Trial, bundle: ShellBundle) -> None:
    scope(trial, bundle)
    before = sorted(directories())
    trial.checkpoint(ID)
    assert UNIT not in peer.units
    assert directories() == []
    reached = count(bundle)
    restore(trial, bundle)
    until(lambda: count(bundle) > reached, "the counter after restore")
    first, second = [dict(body[2]) for name, body in peer.calls if name == "StartTransientUnit"]
    assert {**first, "PIDs": None} == {**second, "PIDs": None}
    assert second["TasksMax"] == ("t", 40)
    assert sorted(directories()) == before
    lines = content(f"/proc/{trial.pid(ID)}/cgroup").splitlines()
    assert sum(line.endswith(f"/{SLICE}/{UNIT}") for line in lines) == len(before)
    limits = glob.glob(f"/sys/fs/cgroup/**/{UNIT}/pids.max", recursive=True)
    assert [content(path) for path in limits] == ["40\n"] * len(limits)
    trial("kill", ID, "KILL")
    until(lambda: trial.status(ID) == "stopped", "its end")
    trial("delete", ID)
    assert UNIT not in peer.units
    assert directories() == []


def test_name_of_another_unit_is_refused(peer: SystemdPeer, trial: Trial, bundle: ShellBundle) -> None:
    """It stays, and nothing of the container is there."""
    scope(trial, bundle)
    trial.checkpoint(ID)
    peer.units[UNIT] = {"ActiveState": ("s", "active")}
    refused = restore(trial, bundle, check=False)
    assert refused.returncode != 0
    assert UNIT in refused.stderr
    assert json.loads(trial("list", "--format", "json").stdout) in (None, [])
    assert UNIT in peer.units
    assert directories() == []
    del peer.units[UNIT]
    reached = count(bundle)
    restore(trial, bundle)
    until(lambda: count(bundle) > reached, "the counter after restore")
