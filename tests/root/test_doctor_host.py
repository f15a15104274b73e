"""`seatrial doctor` on this host: what it says is so, and nothing is left of its trials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ordinary_user
import pytest
from reachable import reachable_directory

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.engine import needs

SEATRIAL = os.path.join(os.path.dirname(sys.executable), "seatrial")
REFERENCE = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")


def diagnose(*options: str, before: list[str] | None = None, status: int = 0, cache: str) -> dict[str, Any]:
    """The report, after another command line (`before`) that executes what follows."""
    env = {**os.environ, "XDG_CACHE_HOME": cache}
    argv = [*(before or []), SEATRIAL, "doctor", "--json", *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == status, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def report(cache: str) -> dict[str, Any]:
    return diagnose("--runtime", "/bin/false", cache=cache)


def of(entries: list[dict[str, Any]], name: str, value: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry[name] == value)


def test_the_reference_runtime_works_in_every_view_and_false_in_none(report: dict[str, Any]) -> None:
    views = [view["view"] for view in report["views"]]
    assert views[0] == cgroups.read_view().mode
    assert of(report["runtimes"], "path", REFERENCE)["views"] == dict.fromkeys(views)
    refused = of(report["runtimes"], "path", "/bin/false")
    assert refused["version"] is None
    assert all(isinstance(reason, str) for reason in refused["views"].values())
    assert "update" in refused["lacks_commands"]
    assert "update" not in of(report["runtimes"], "path", REFERENCE)["lacks_commands"]


def test_needs_are_answered_as_in_a_run(report: dict[str, Any]) -> None:
    views = {view["view"] for view in report["views"]}
    assert set(of(report["needs"], "word", "cgroup2")["views"]) == views & {"v2"}
    assert set(of(report["needs"], "word", "cgroup1")["views"]) == views & {"v1", "hybrid"}
    for word in ("root", "swap", "smp", "selinux", "userns"):
        assert of(report["needs"], "word", word)["met"] == (needs.unmet(word) is None), word
    assert of(report["needs"], "word", "root")["cases"] > 400
    assert all(0 < view["cases"] < report["cases"] for view in report["views"])
    for need in report["needs"]:
        assert need["met"] or (need["reason"] and need["remedy"]), need["word"]


def test_a_second_cgroup_hierarchy_is_the_remedy_for_a_missing_view(cache: str) -> None:
    here = cgroups.read_view()
    if here.mode != "hybrid":
        pytest.skip("the host is not hybrid")
    hide = f"umount -l {here.v2}"
    without = diagnose(before=["unshare", "-m", "sh", "-c", f'{hide} && exec "$@"', "sh"], cache=cache)
    assert without["unavailable_views"] == {
        "v2": "the host has no v2 hierarchy",
        "hybrid": "the host has no v2 hierarchy",
    }
    need = of(without["needs"], "word", "cgroup2")
    assert not need["met"]
    assert "mount -t cgroup2 none /sys/fs/cgroup/unified" in need["remedy"]
    cure = f'{hide} && mount -t cgroup2 none {here.v2} && exec "$@"'
    cured = diagnose(before=["unshare", "-m", "sh", "-c", cure, "sh"], cache=cache)
    assert of(cured["needs"], "word", "cgroup2")["views"] == ["v2"]


def test_without_a_capability_the_need_and_what_fails_are_named(cache: str) -> None:
    """Without CAP_NET_ADMIN no runtime brings up the loopback interface of a container."""
    drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    dropped = diagnose(before=drop, status=2, cache=cache)
    need = of(dropped["needs"], "word", "net")
    assert (need["met"], need["reason"]) == (False, "the harness lacks CAP_NET_ADMIN")
    assert "NET_ADMIN" in dropped["host"]["missing_capabilities"]
    assert all(of(dropped["runtimes"], "path", REFERENCE)["views"].values())


def test_root_that_is_none_can_check_nothing(cache: str) -> None:
    report = diagnose(before=["setpriv", "--bounding-set=-sys_admin"], status=2, cache=cache)
    assert not report["can_check"]
    assert "CAP_SYS_ADMIN" in report["views"][0]["error"]


def test_leftovers_of_a_killed_run_are_named(cache: str) -> None:
    directory = Path(tempfile.mkdtemp(prefix="seatrial-", dir="/tmp"))
    try:
        assert str(directory) not in diagnose(cache=cache)["leftovers"]  # it may be of a run that is alive
        os.utime(directory, (1, 1))
        assert str(directory) in diagnose(cache=cache)["leftovers"]
    finally:
        directory.rmdir()


@pytest.fixture
def home() -> Iterator[str]:
    with reachable_directory() as directory:
        yield directory


def test_an_ordinary_user_is_told_what_root_is_for(home: str) -> None:
    argv = ordinary_user.command(home, SEATRIAL, "doctor", "--json")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["host"]["privilege"] == "rootless"
    assert of(report["runtimes"], "path", REFERENCE)["views"] == {cgroups.read_view().mode: None}
    root = of(report["needs"], "word", "root")
    assert not root["met"]
    assert "sudo" in root["remedy"]
    assert not of(report["needs"], "word", "ids")["met"]
    assert 0 < report["views"][0]["cases"] < report["cases"] - root["cases"] + 1
