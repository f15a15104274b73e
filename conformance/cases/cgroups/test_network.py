"""config-linux.md#network: net_cls and net_prio, which only v1 has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

Make = Callable[[], Bundle]
Rejected = Callable[..., Result]
ROW = "config-linux/network/"


@needs("root", "cgroup1", "cgroup:net_cls")
@covers(ROW + "1", ROW + "2")
def test_class_of_packets(runtime: Runtime, bundle: Bundle) -> None:
    """classID is the cgroup's class (config-linux.md#network)."""
    container = runtime.create(put(bundle, {"network.classID": 0x100001}))
    assert control_files.value(container, "net_cls.classid") == str(0x100001)


@needs("root", "cgroup1", "cgroup:net_prio")
@covers(ROW + "1", ROW + "3")
def test_priority_of_an_interface(runtime: Runtime, bundle: Bundle) -> None:
    """An interface of the runtime's network namespace gets its priority (config-linux.md#network)."""
    container = runtime.create(put(bundle, {"network.priorities": [{"name": "lo", "priority": 5}]}))
    assert control_files.key_value(control_files.value(container, "net_prio.ifpriomap"), "lo") == "5"


@needs("root", "cgroup1", "cgroup:net_prio")
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"priority": 5}, id="no name", marks=covers(ROW + "4")),
        pytest.param({"name": "st-nosuch0", "priority": 5}, id="no such interface", marks=covers(ROW + "4")),
        pytest.param({"name": "lo"}, id="no priority", marks=covers(ROW + "5")),
    ],
)
def test_priorities_entry_is_complete(
    make_bundle: Make, runtime: Runtime, rejected: Rejected, entry: dict[str, object]
) -> None:
    """An entry names an interface that is there, and a priority (config-linux.md#network)."""
    control = put(make_bundle(), {"network.priorities": [{"name": "lo", "priority": 5}]})
    rejected(runtime, put(make_bundle(), {"network.priorities": [entry]}), control=control)
