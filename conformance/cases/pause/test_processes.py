"""ps and events: what engines learn of a container's processes.  runc's practice; the runtime-spec has neither."""

from __future__ import annotations

import json

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.pause.activity import below, computing, wait_moving
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.engine.needs import unmet


@needs("command:ps")
@profile("runc-compat")
@covers("runtime/state/10")
def test_ps_lists_the_pids(runtime: Runtime, bundle: Bundle) -> None:
    """`ps --format json` is one array: the pid of state, and those of the other processes, as the host numbers them."""
    container = computing(runtime, bundle)
    listed = json.loads(runtime.command("ps", "--format", "json", container.id).check().stdout)
    assert sorted(listed) == sorted([container.pid, *below(container.pid)])


@needs("command:ps", "program:ps")
@profile("runc-compat")
@covers("runtime/state/10")
def test_ps_shows_a_table(runtime: Runtime, bundle: Bundle) -> None:
    """`ps` has a column PID, and a row for each process."""
    container = computing(runtime, bundle)
    title, *rows = runtime.command("ps", container.id).check().stdout.splitlines()
    column = title.split().index("PID")
    assert sorted(int(row.split()[column]) for row in rows) == sorted([container.pid, *below(container.pid)])


@needs("command:ps")
@profile("runc-compat")
@covers("runtime/state/8")
def test_stopped_container_has_no_processes(runtime: Runtime, bundle: Bundle) -> None:
    """`ps --format json` of a stopped container gives no pid: null, an empty array, or an error."""
    container = runtime.create(bundle.probe("exit 0", report=False))
    assert json.loads(runtime.command("ps", "--format", "json", container.id).check().stdout) == [container.pid]
    container.start()
    container.wait_status("stopped")
    result = runtime.command("ps", "--format", "json", container.id)
    assert not result.ok or not json.loads(result.stdout)


@needs("command:events")
@profile("runc-compat")
@covers("runtime/state/10")
def test_events_tell_what_is_used(runtime: Runtime, bundle: Bundle) -> None:
    """`events --stats` is one JSON object in one line: type, id, data with processor time, memory and processes."""
    container = computing(runtime, bundle)
    wait_moving(below(container.pid))
    lines = [runtime.command("events", "--stats", container.id).check().stdout for _ in range(2)]
    assert [line.count("\n") for line in lines] == [1, 1]
    first, second = (json.loads(line) for line in lines)
    for event in (first, second):
        assert (event["type"], event["id"]) == ("stats", container.id)
    usage = [event["data"]["cpu"]["usage"]["total"] for event in (first, second)]
    assert 0 < usage[0] <= usage[1]
    if unmet("cgroup:memory") is None:
        assert second["data"]["memory"]["usage"]["usage"] > 0
    if unmet("cgroup:pids") is None:
        assert second["data"]["pids"]["current"] == 2


@pytest.mark.parametrize("interval", ["0s", "-1s", "soon"])
@needs("command:events")
@profile("runc-compat")
@covers("runtime/state/16")
def test_events_want_a_positive_interval(runtime: Runtime, bundle: Bundle, interval: str) -> None:
    """Anything but a duration above zero is an error."""
    container = computing(runtime, bundle)
    result = runtime.command("events", f"--interval={interval}", container.id)
    assert not result.ok, result.describe()
