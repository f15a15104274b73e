"""`events --stats` of a container that its quota stops, and of one that has stopped for good.  runc's practice."""

from __future__ import annotations

import json
import time

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.pause.activity import SECONDS, computing
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

pytestmark = [needs("root", "command:events"), profile("runc-compat")]


def throttled(container: Container) -> tuple[int, int]:
    """In how many periods the kernel has throttled the container, and for how long, in nanoseconds."""
    lines = control_files.value(container, "cpu.stat").splitlines()
    stat = {name: int(value) for name, value in (line.split() for line in lines)}
    return stat["nr_throttled"], stat["throttled_time"] if "throttled_time" in stat else stat["throttled_usec"] * 1000


@needs("cgroup:cpu")
@covers("runtime/state/10")
def test_throttling_is_told(runtime: Runtime, bundle: Bundle) -> None:
    """With a quota that it exceeds: periods, throttled periods and the throttled time, in nanoseconds."""
    bundle.linux["resources"]["cpu"] = {"quota": 1000, "period": 100000}
    container = computing(runtime, bundle)
    deadline = time.monotonic() + patience(SECONDS)
    while not (stat := throttled(container))[1]:  # the time is counted when a period ends
        if time.monotonic() > deadline:
            raise Finding("the container is not throttled: cpu.quota is not in effect")
        time.sleep(0.01)
    told = json.loads(runtime.command("events", "--stats", container.id).check().stdout)
    throttling = told["data"]["cpu"]["throttling"]
    assert throttling["periods"] >= throttling["throttledPeriods"] >= stat[0] > 0
    assert throttling["throttledTime"] >= stat[1]


@covers("runtime/state/8")
def test_stopped_container_has_no_statistics(runtime: Runtime, bundle: Bundle) -> None:
    """`events --stats` of a stopped container is an error, as nothing runs in it."""
    container = runtime.create(bundle.probe("exit 0", report=False))
    runtime.command("events", "--stats", container.id).check()
    container.start()
    container.wait_status("stopped")
    result = runtime.command("events", "--stats", container.id)
    assert not result.ok, result.describe()
