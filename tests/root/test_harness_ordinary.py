"""The place that the harness gives an ordinary user: nothing of it reaches the host, and it ends with its keeper."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from reachable import reachable_directory

from seatrial.conformance.airlock import orphans
from seatrial.conformance.driver.ordinary import USER, OrdinaryRuntime, Quarters, delegated

pytestmark = pytest.mark.root
RUNTIME = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")


@pytest.fixture
def quarters() -> Iterator[Quarters]:
    with reachable_directory() as directory, Quarters(directory, RUNTIME, ranges=True) as made:
        yield made


def said(quarters: Quarters, *words: str) -> str:
    return subprocess.run([*quarters.enter(), *words], check=True, capture_output=True, text=True).stdout.strip()


def test_the_user_has_a_name_and_ranges_that_the_host_does_not_know(quarters: Quarters) -> None:
    assert said(quarters, "id", "--user", "--name") == USER
    assert said(quarters, "id", "--groups") == str(quarters.uid)
    assert quarters.ranges is not None
    assert said(quarters, "cat", "/etc/subuid") == f"{USER}:{quarters.ranges[0]}:{quarters.ranges[1]}"
    with open("/etc/passwd", encoding="utf-8") as file:
        assert f"{USER}:" not in file.read()
    assert quarters.locked in quarters.mounts()
    assert not os.path.ismount(quarters.locked)


def test_the_user_reaches_the_runtime_and_its_own_home(quarters: Quarters) -> None:
    assert said(quarters, "test", "-x", RUNTIME) == ""
    said(quarters, "touch", os.path.join(quarters.home, "state", "x"))
    assert os.stat(os.path.join(quarters.home, "state", "x")).st_uid == quarters.uid


def test_the_keeper_ends_with_the_quarters() -> None:
    before = orphans.children()
    with reachable_directory() as directory, Quarters(directory, RUNTIME, ranges=False):
        assert len(orphans.children() - before) == 1
    assert orphans.children() <= before


def test_a_delegated_cgroup_is_the_users_and_goes(quarters: Quarters) -> None:
    runtime = OrdinaryRuntime(RUNTIME, quarters, f"st-test-{os.getpid()}", timeout=60)
    with delegated(f"st-test-{os.getpid()}", quarters.uid) as (tops, leaves):
        assert tops
        assert all(os.stat(path).st_uid == quarters.uid for path in (*tops, *leaves))
        runtime.cgroups = leaves
        runtime.command("--version", root=False).check()
    assert not any(os.path.exists(path) for path in tops)
