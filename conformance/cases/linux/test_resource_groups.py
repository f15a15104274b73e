"""config-linux.md#intelrdt on hardware that has it (need rdt), read back from resctrl, and what is refused anywhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux import resource_groups as resctrl
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine import needs as hosts

ROW = "config-linux/intelrdt/"
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
on_hardware = needs("root", "rdt")


def ask(bundle: Bundle, since: str = "1.0.2", **members: Any) -> Bundle:
    """Set linux.intelRdt in a config of the version that brought the members."""
    bundle.config["ociVersion"] = since
    bundle.linux["intelRdt"] = members
    return bundle.probe("hold", report=False)


def l3(half: bool = True) -> tuple[str, str, int]:
    """A line that gives the first L3 domain the lower half of its ways: (line, domain, mask)."""
    domain, mask = resctrl.first("L3")
    wanted = mask >> (mask.bit_length() // 2) if half else mask
    return f"L3:{domain}={wanted:x}", domain, wanted


def bandwidth(percent: int = 50) -> tuple[str, str, int]:
    """A line that limits the bandwidth of the first MB domain: (line, domain, value)."""
    domain, _ = resctrl.first("MB")
    return f"MB:{domain}={percent}", domain, percent


@pytest.fixture
def cleaned() -> Iterator[None]:
    """Removes the classes that the case (or its runtime) made: named ones stay by the spec."""
    before = resctrl.groups()
    yield
    for name in resctrl.groups() - before:
        with contextlib.suppress(OSError):
            resctrl.remove(resctrl.place(name))


def hardware_case(*rows: str) -> Callable[[Any], Any]:
    """The marks of a case that looks at the hardware's groups."""

    def decorate(function: Any) -> Any:
        for mark in (on_hardware, pytest.mark.usefixtures("cleaned"), covers(*(ROW + row for row in rows))):
            function = mark(function)
        return function

    return decorate


# -- what needs no hardware --------------------------------------------------------------------------------------------


@needs("root")
@pytest.mark.parametrize(
    ("since", "good", "bad"),
    [
        pytest.param(
            "1.0.2",
            {"memBwSchema": "MB:0=100"},
            {"memBwSchema": "L3:0=f"},
            id="MB-other resource",
            marks=covers(ROW + "11"),
        ),
        pytest.param(
            "1.0.2", {"memBwSchema": "MB:0=100"}, {"memBwSchema": "0=100"}, id="MB-no prefix", marks=covers(ROW + "11")
        ),
        pytest.param(
            "1.0.2",
            {"memBwSchema": "MB:0=100"},
            {"memBwSchema": "MB:0=10\nL3:0=1"},
            id="MB-newline",
            marks=covers(ROW + "12"),
        ),
        pytest.param(
            "1.3.0",
            {"schemata": ["L3:0=f"]},
            {"schemata": ["L3:0=f\nMB:0=10"]},
            id="schemata-newline",
            marks=covers(ROW + "14"),
        ),
    ],
)
def test_malformed_line_is_an_error(
    runtime: Runtime, make_bundle: Make, rejected: Rejected, since: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """It is refused on every host (where there is no resctrl, so is the good one): config-linux.md#intelrdt."""
    control = ask(make_bundle(), since, **good) if hosts.unmet("rdt") is None else None
    rejected(runtime, ask(make_bundle(), since, **bad), by="start", control=control)


# -- where the container's processes are -------------------------------------------------------------------------------


@hardware_case("2", "22", "29")
def test_class_has_the_name_of_the_container(runtime: Runtime, bundle: Bundle) -> None:
    """Without closID a class of the container's name is made, with its process in it, and goes with the container."""
    line, _, _ = l3()
    container = runtime.create(ask(bundle, l3CacheSchema=line))
    assert container.pid in resctrl.tasks(container.id)
    container.remove()
    assert container.id not in resctrl.groups()


@hardware_case("4")
def test_nothing_is_touched_without_it(runtime: Runtime, bundle: Bundle) -> None:
    """A container without intelRdt changes nothing there."""

    def look() -> tuple[set[str], float, str]:
        return resctrl.groups(), os.stat(resctrl.ROOT).st_mtime, resctrl.read("schemata")

    before = look()
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    assert look() == before
    container.remove()
    assert look() == before


@hardware_case("5", "2", "23", "30")
def test_named_class_is_made_and_stays(runtime: Runtime, bundle: Bundle) -> None:
    """closID names the class; with a schema it is made where it is missing, and is not removed at delete."""
    line, domain, mask = l3()
    name = f"{bundle.name}-class"
    container = runtime.create(ask(bundle, closID=name, l3CacheSchema=line))
    assert container.pid in resctrl.tasks(name)
    assert resctrl.schemata(name)["L3"][domain] == mask
    container.remove()
    assert name in resctrl.groups()


@hardware_case("6")
def test_root_class(runtime: Runtime, bundle: Bundle) -> None:
    """closID / is the root of resctrl: nothing is made."""
    before = resctrl.groups()
    container = runtime.create(ask(bundle, "1.3.0", closID="/"))
    assert container.pid in resctrl.tasks()
    assert resctrl.groups() == before


@hardware_case("26", "27", "30", "21")
def test_existing_class_is_joined_as_it_is(runtime: Runtime, bundle: Bundle) -> None:
    """closID alone: the process joins the class, whose schemata nobody writes and which stays at delete."""
    line, _, _ = l3()
    with resctrl.group(f"{bundle.name}-class", line) as name:
        before = resctrl.read(name, "schemata")
        container = runtime.create(ask(bundle, closID=name))
        assert container.pid in resctrl.tasks(name)
        container.remove()
        assert resctrl.read(name, "schemata") == before


@hardware_case("28")
def test_missing_class_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """closID without a schema does not make a class."""
    name = f"{bundle.name}-class"
    rejected(runtime, ask(bundle, closID=name), by="start")
    assert name not in resctrl.groups()


@hardware_case("24", "25")
def test_existing_class_is_compared(runtime: Runtime, make_bundle: Make, rejected: Rejected) -> None:
    """closID with a schema and a class that is there: equal values work, others are an error and change nothing."""
    half, _, _ = l3()
    whole, _, _ = l3(half=False)
    good, bad = make_bundle(), make_bundle()
    with resctrl.group(f"{good.name}-class", half) as name:
        before = resctrl.read(name, "schemata")
        container = runtime.create(ask(good, closID=name, l3CacheSchema=half))
        assert container.pid in resctrl.tasks(name)
        rejected(runtime, ask(bad, closID=name, l3CacheSchema=whole), by="start")
        assert resctrl.read(name, "schemata") == before
        container.remove()


# -- schemata ----------------------------------------------------------------------------------------------------------


@hardware_case("7", "18")
def test_cache_schema_alone(runtime: Runtime, bundle: Bundle) -> None:
    """l3CacheSchema is written, and nothing else is."""
    line, domain, mask = l3()
    other = {name: values for name, values in resctrl.schemata().items() if name != "L3"}
    container = runtime.create(ask(bundle, l3CacheSchema=line))
    found = resctrl.schemata(container.id)
    assert found.pop("L3")[domain] == mask
    assert found == other


@hardware_case("10", "18")
def test_bandwidth_schema_alone(runtime: Runtime, bundle: Bundle) -> None:
    """memBwSchema is written, and nothing else is."""
    line, domain, value = bandwidth()
    other = {name: values for name, values in resctrl.schemata().items() if name != "MB"}
    container = runtime.create(ask(bundle, memBwSchema=line))
    found = resctrl.schemata(container.id)
    assert found.pop("MB")[domain] == value
    assert found == other


@hardware_case("16")
def test_both_schemas(runtime: Runtime, bundle: Bundle) -> None:
    """l3CacheSchema and memBwSchema are both written."""
    (cache, domain, mask), (memory, other, value) = l3(), bandwidth()
    container = runtime.create(ask(bundle, l3CacheSchema=cache, memBwSchema=memory))
    found = resctrl.schemata(container.id)
    assert (found["L3"][domain], found["MB"][other]) == (mask, value)


@hardware_case("13", "19", "20")
def test_schemata_are_written_last(runtime: Runtime, bundle: Bundle) -> None:
    """Every line of schemata is written, after l3CacheSchema and memBwSchema: it decides."""
    (cache, domain, mask), (memory, other, value) = l3(), bandwidth()
    whole, _, _ = l3(half=False)
    lines = [cache, memory]
    members = {"l3CacheSchema": whole, "memBwSchema": f"MB:{other}=100", "schemata": lines}
    container = runtime.create(ask(bundle, "1.3.0", **members))
    found = resctrl.schemata(container.id)
    assert (found["L3"][domain], found["MB"][other]) == (mask, value)


@hardware_case("8", "9")
@pytest.mark.parametrize("form", ["no prefix", "newline"])
def test_odd_cache_schema_is_refused_or_counts_as_one_line(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """l3CacheSchema SHOULD begin with L3: and SHOULD NOT have a newline: refused, or its lines are what is in force."""
    runtime.prove_sane()
    line, domain, mask = l3()
    text = line.removeprefix("L3:") if form == "no prefix" else f"{line}\n"
    container = runtime.create(ask(bundle, l3CacheSchema=text), check=False)
    if container.created.ok:
        assert resctrl.schemata(container.id)["L3"][domain] == mask
    else:
        assert not container.created.crashed, container.created.describe()
        assert container.id not in resctrl.groups()


# -- monitoring --------------------------------------------------------------------------------------------------------


def monitored(runtime: Runtime, bundle: Bundle, **members: Any) -> Container:
    """A container with a monitoring group."""
    if not os.path.isdir(resctrl.place("mon_groups")):
        pytest.skip("rdt: this processor has no monitoring")
    return runtime.create(ask(bundle, "1.3.0", enableMonitoring=True, **members))


@hardware_case("15", "31", "32", "33")
@pytest.mark.parametrize("named", [True, False], ids=["named class", "own class"])
def test_monitoring_group(runtime: Runtime, bundle: Bundle, named: bool) -> None:
    """The container gets a monitoring group of its name below its class, which goes with it."""
    line, _, _ = l3()
    members = {"closID": f"{bundle.name}-class"} if named else {}
    container = monitored(runtime, bundle, l3CacheSchema=line, **members)
    name = members.get("closID", container.id)
    assert container.pid in resctrl.tasks(name, "mon_groups", container.id)
    container.remove()
    assert not os.path.exists(resctrl.place(name, "mon_groups", container.id))


@hardware_case("15")
def test_no_monitoring_group_unasked(runtime: Runtime, bundle: Bundle) -> None:
    """Without enableMonitoring there is none."""
    line, _, _ = l3()
    container = runtime.create(ask(bundle, l3CacheSchema=line))
    assert resctrl.groups(container.id, "mon_groups") == set()


@hardware_case("34")
def test_no_monitoring_group_left_is_an_error(runtime: Runtime, bundle: Bundle) -> None:
    """When the hardware has no monitoring id left, create or start fails, and leaves nothing."""
    runtime.prove_sane()
    if not os.path.isdir(resctrl.place("mon_groups")):
        pytest.skip("rdt: this processor has no monitoring")
    taken = []
    try:
        for number in range(4096):
            path = resctrl.place("mon_groups", f"{bundle.name}-{number}")
            try:
                resctrl.make(path)
            except OSError:
                break
            taken.append(path)
        else:
            pytest.skip("rdt: the monitoring ids of this processor are too many to use up")
        container = runtime.create(ask(bundle, "1.3.0", closID="/", enableMonitoring=True), check=False)
        result = container.created if not container.created.ok else container.start(check=False)
        assert not result.ok, result.describe()
        assert bundle.name not in resctrl.groups("mon_groups")
    finally:
        for path in taken:
            resctrl.remove(path)
