"""Whole containers from plans: birth, namespaces, identity, exec."""

from __future__ import annotations

import pytest
from executor_driver import run
from plans import container

from seatrial.native import operations as table

pytestmark = pytest.mark.root


def test_a_plan_becomes_a_container(executor: list[str], rootfs: str) -> None:
    plan = container(rootfs, ["probe", "report"])
    outcome = run(executor, plan)
    report = outcome.lines[0]
    assert outcome.status == 0
    assert outcome.points == [table.SYNC_CGROUP, table.SYNC_READY, table.SYNC_START]
    assert report["pid"] == 1
    assert report["ppid"] == 0
    assert report["sid"] == 1
    assert report["cwd"] == "/"
    assert report["argv"] == ["probe", "report"]
    assert report["uts"]["nodename"] == "trial"
    assert {mount["target"] for mount in report["mounts"]} == {"/", "/proc", "/dev", "/dev/pts"}
