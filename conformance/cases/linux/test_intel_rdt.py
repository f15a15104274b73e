"""config-linux.md#intelrdt, as far as it can be seen without the hardware: most hosts have no resctrl mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine import needs as hosts

ROW = "config-linux/intelrdt/"
Rejected = Callable[..., Result]


@covers(ROW + "1")
def test_intel_rdt_may_be_left_out(bundle: Bundle, report: Callable[..., Report]) -> None:
    """A config without it runs, whatever the host has."""
    assert "intelRdt" not in bundle.linux
    assert report(bundle)["ids"]["uid"][0] == 0


@needs("root")
@covers(ROW + "3")
@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"l3CacheSchema": "L3:0=f"}, id="class of the container's name"),
        pytest.param({"closID": "seatrial", "memBwSchema": "MB:0=100"}, id="named class"),
        pytest.param({"closID": "/"}, id="root class"),
        pytest.param({}, id="empty"),
    ],
)
def test_without_resctrl_it_is_refused(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, members: dict[str, Any]
) -> None:
    """intelRdt on a host where resctrl is not mounted generates an error."""
    if hosts.unmet("rdt") is None:
        pytest.skip("resctrl is mounted on this host")
    bundle.config["ociVersion"] = "1.3.0" if members.get("closID") == "/" else "1.0.2"
    bundle.linux["intelRdt"] = members
    rejected(runtime, bundle, by="start")
