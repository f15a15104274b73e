"""Unknown properties are ignored (config.md#extensibility)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.config.cgroup_files import read
from seatrial.conformance.cases.config.schema_objects import put
from seatrial.conformance.cases.config.visible import visible
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import Report

UNKNOWN = {"enabled": True, "list": [1, None, {"a": "b"}]}
PLACES = (
    "",
    "process.",
    "linux.",
    "linux.resources.memory.",
    "mounts[].",
    "hooks.createRuntime[].",
    "linux.namespaces[].",
)


def _prepared(bundle: Bundle) -> Bundle:
    bundle.hook("createRuntime", "exit", "0")
    bundle.linux["resources"]["memory"] = {"limit": 64 << 20}
    return bundle


@covers("config/extensibility/3")
@needs("cgroup:memory")
@pytest.mark.parametrize("place", [pytest.param(place, id=place.rstrip(".") or "top") for place in PLACES])
def test_takes_unknown_properties(bundle: Bundle, report: Callable[..., Report], place: str) -> None:
    """An unknown property generates no error: config.md#extensibility."""
    put(_prepared(bundle).config, f"{place}x-unknown", UNKNOWN)
    assert report(bundle)["uts"]["nodename"] == "seatrial"


@covers("config/extensibility/2")
@needs("cgroup:memory")
def test_ignores_unknown_properties(runtime: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    """Unknown properties change nothing: the process, its mounts, its cgroup and its state are as without them
    (config.md#extensibility)."""
    plain, other = _prepared(make_bundle()), _prepared(make_bundle())
    for place in PLACES:
        put(other.config, f"{place}x-unknown", UNKNOWN)
    assert _observe(runtime, other) == _observe(runtime, plain)


@covers("config/extensibility/1")
def test_may_log_unknown_properties(runtime: Runtime, bundle: Bundle) -> None:
    """A warning about an unknown property is allowed, in the log or on the standard error; it is no error, and does not
    get into the container's output (config.md#extensibility)."""
    log = bundle.outside("log.json")
    put(bundle.config, "linux.x-unknown", UNKNOWN)
    bundle.write()
    words = ("--log", log, "--log-format", "json", "run", "--bundle", bundle.path, bundle.name)
    result = runtime.command(*words).check()
    assert probe.parse(result.stdout, result)["uts"]["nodename"] == "seatrial"
    assert [line for line in result.stdout.splitlines() if not line.startswith("{")] == []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            levels = [json.loads(line)["level"] for line in file]
        assert not {"error", "fatal", "panic"} & set(levels)


def _observe(runtime: Runtime, bundle: Bundle) -> dict[str, object]:
    bundle.args("/probe", "report", "--", "hold")
    container = runtime.create(bundle)
    state = container.state()
    limit = _memory_limit(container)
    container.start()
    report = probe.parse(container.wait_output("\n"))
    container.remove()
    return {**visible(report), "memory limit": limit, "members of state": sorted(state), "status": state["status"]}


def _memory_limit(container: Container) -> str:
    unified = cgroups.read_view().mode == "v2"
    return read(container, "memory", "memory.max" if unified else "memory.limit_in_bytes")
