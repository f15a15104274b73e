"""config-linux.md#block-io, and what #unified says of its members on v2."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import kernel_refusal, put, versions
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.errors import Finding

Make = Callable[[], Bundle]
Rejected = Callable[..., Result]

BLOCK = "config-linux/block-io/"
V1 = needs("root", "blkdev", "cgroup1")
V2 = needs("root", "blkdev", "cgroup2")

# member, v1 file, key in io.max, row of block-io, row of unified
THROTTLES = [
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", "10", "16"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", "11", "17"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", "12", "18"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", "13", "19"),
]


@pytest.fixture
def disk() -> dict[str, int]:
    """major and minor of a whole block device of this host: the cgroup files take no other."""
    for name in sorted(os.listdir("/sys/block"), key=lambda name: (name.startswith(("loop", "ram", "zram")), name)):
        with open(f"/sys/block/{name}/dev", encoding="ascii") as file:
            major, minor = file.read().split(":")
        return {"major": int(major), "minor": int(minor)}
    pytest.skip("the host has no block device")


def number(disk: dict[str, int]) -> str:
    return f"{disk['major']}:{disk['minor']}"


def created(
    runtime: Runtime, make_bundle: Make, members: dict[str, Any], writes: dict[str, str], v2: bool
) -> Container | None:
    """A container with these members; None where it is refused on v2, which #unified allows.  On v1 a refusal is a
    finding, unless the kernel refuses the writes too: then the case is skipped."""
    runtime.prove_sane()
    container = runtime.create(put(make_bundle(), members), check=False)
    if container.created.ok:
        return container
    assert not container.created.crashed, container.created.describe()
    assert not runtime.state(container.id).ok
    if v2:
        return None
    reason = kernel_refusal_of_any(runtime, make_bundle, writes)
    if reason is None:
        container.created.check()
    pytest.skip(f"the kernel refuses it: {reason}")


def kernel_refusal_of_any(runtime: Runtime, make_bundle: Make, writes: dict[str, str]) -> str | None:
    """Why the kernel takes none of the writes; None when it takes one (BFQ and CFQ have files of their own)."""
    reasons = [kernel_refusal(runtime, make_bundle, {name: text}) for name, text in writes.items()]
    return None if None in reasons else "; ".join(str(reason) for reason in reasons)


def lines(container: Container, name: str) -> list[str]:
    """The lines of a file of the container's cgroup; none when the kernel does not have it."""
    try:
        return control_files.value(container, name).splitlines()
    except Finding:
        return []


def throttles(versions_of: str) -> list[Any]:
    found = []
    for member, file, key, row, unified in THROTTLES:
        if versions_of == "1":
            found.append(pytest.param(member, file, id=member, marks=[V1, covers(BLOCK + row)]))
        else:
            found.append(pytest.param(member, key, id=member, marks=[V2, covers(f"config-linux/unified/{unified}")]))
    return found


@pytest.mark.parametrize(("member", "file"), throttles("1"))
def test_throttle(runtime: Runtime, make_bundle: Make, disk: dict[str, int], member: str, file: str) -> None:
    """A rate of a device is in its file (config-linux.md#block-io)."""
    text = f"{number(disk)} 1048576"
    members = {f"blockIO.{member}": [disk | {"rate": 1048576}]}
    container = created(runtime, make_bundle, members, {file: text}, False)
    assert container is not None
    shown = {name: lines(container, name) for _, name, *_ in THROTTLES}
    assert shown.pop(file) == [text]
    assert not any(shown.values())


@pytest.mark.parametrize(("member", "key"), throttles("2"))
def test_throttle_on_v2(runtime: Runtime, make_bundle: Make, disk: dict[str, int], member: str, key: str) -> None:
    """A rate of a device is a word of its line in io.max, or it is refused (config-linux.md#unified)."""
    members = {f"blockIO.{member}": [disk | {"rate": 1048576}]}
    container = created(runtime, make_bundle, members, {}, True)
    if container is not None:
        words = " ".join(f"{name}={1048576 if name == key else 'max'}" for *_, name, _, _ in THROTTLES)
        assert lines(container, "io.max") == [f"{number(disk)} {words}"]


@V2
@covers(*(f"config-linux/unified/{row}" for *_, row in THROTTLES))
def test_all_rates_of_a_device_hold_on_v2(runtime: Runtime, make_bundle: Make, disk: dict[str, int]) -> None:
    """Rates of one device do not replace each other (config-linux.md#unified)."""
    members = {f"blockIO.{entry[0]}": [disk | {"rate": 4096 * n}] for n, entry in enumerate(THROTTLES, 1)}
    container = created(runtime, make_bundle, members, {}, True)
    if container is not None:
        words = " ".join(f"{entry[2]}={4096 * n}" for n, entry in enumerate(THROTTLES, 1))
        assert lines(container, "io.max") == [f"{number(disk)} {words}"]


@needs("root", "blkdev")
@pytest.mark.parametrize("v2", versions("blkio", v1=("block-io/1",)) + versions("io", v2=("block-io/1",)))
def test_block_io_may_be_left_out(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Without blockIO no device is throttled (config-linux.md#block-io)."""
    container = runtime.create(bundle)
    names = ["io.max"] if v2 else [file for _, file, *_ in THROTTLES]
    directory = control_files.directory_of(container, names[0].partition(".")[0])
    assert all(control_files.read(directory, name) == "" for name in names)


@needs("root", "blkdev")
@pytest.mark.parametrize(
    ("missing", "row"),
    [
        pytest.param(missing, row, id=missing, marks=covers(BLOCK + row))
        for missing, row in (("major", "14"), ("minor", "14"), ("rate", "15"))
    ],
)
def test_throttle_entry_is_complete(
    make_bundle: Make, runtime: Runtime, rejected: Rejected, disk: dict[str, int], missing: str, row: str
) -> None:
    """An entry without major, minor or rate is refused (config-linux.md#block-io)."""
    entry = disk | {"rate": 1048576}
    control = put(make_bundle(), {"blockIO.throttleReadBpsDevice": [dict(entry)]})
    del entry[missing]
    rejected(runtime, put(make_bundle(), {"blockIO.throttleReadBpsDevice": [entry]}), control=control)


@needs("root", "blkdev")
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"minor": 0, "weight": 500}, id="no major", marks=covers(BLOCK + "5")),
        pytest.param({"major": 8, "weight": 500}, id="no minor", marks=covers(BLOCK + "5")),
        pytest.param({"major": 8, "minor": 0}, id="no weight", marks=covers(BLOCK + "8")),
    ],
)
def test_weight_entry_is_complete(
    make_bundle: Make, runtime: Runtime, rejected: Rejected, entry: dict[str, int]
) -> None:
    """An entry without major, minor or any weight is refused (config-linux.md#block-io)."""
    rejected(runtime, put(make_bundle(), {"blockIO.weightDevice": [entry]}), control=make_bundle())


def stretched(weight: int) -> str:
    """io.weight (1 to 10000) for blockIO.weight (10 to 1000), as every runtime has it."""
    return str(1 + (weight - 10) * 9999 // 990)


@pytest.mark.parametrize("v2", versions("blkio", v1=("block-io/2",)) + versions("io", v2=("unified/14",)))
@needs("blkdev")
def test_weight(runtime: Runtime, make_bundle: Make, v2: bool) -> None:
    """The weight is that of the cgroup's I/O scheduler (config-linux.md#block-io); on v2 it is converted, or refused
    (#unified)."""
    names = ("blkio.bfq.weight", "blkio.weight")
    container = created(runtime, make_bundle, {"blockIO.weight": 500}, dict.fromkeys(names, "500"), v2)
    if container is not None and v2:
        wanted = {"io.bfq.weight": "default 500", "io.weight": f"default {stretched(500)}"}
        shown = {name: found for name in wanted if (found := lines(container, name))}
        assert shown
        assert any(shown[name] == [wanted[name]] for name in shown)
    elif container is not None:
        assert ["500"] in [lines(container, name) for name in names]


WEIGHTS = [
    ("leafWeight", {"blockIO.leafWeight": 300}, "blkio.leaf_weight", "300", ("3",)),
    ("weightDevice", {"blockIO.weightDevice": [{"weight": 300}]}, "blkio.bfq.weight_device", "{} 300", ("4", "6")),
    ("leafWeight of a device", {"blockIO.weightDevice": [{"leafWeight": 300}]}, "blkio.leaf_weight_device", "{} 300",
     ("7",)),
    ("both of a device", {"blockIO.weightDevice": [{"weight": 300, "leafWeight": 300}]}, "blkio.leaf_weight_device",
     "{} 300", ("9",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("members", "file", "text"),
    [
        pytest.param(members, file, text, id=name, marks=[V1, covers(*(BLOCK + row for row in rows))])
        for name, members, file, text, rows in WEIGHTS
    ],
)
def test_weights_of_devices(
    runtime: Runtime, make_bundle: Make, disk: dict[str, int], members: dict[str, Any], file: str, text: str
) -> None:
    """Weights of a device, and leaf weights (which only CFQ had, before Linux 5.0) show in their files
    (config-linux.md#block-io)."""
    full = {
        name: [disk | entry for entry in value] if isinstance(value, list) else value for name, value in members.items()
    }
    wanted = text.format(number(disk))
    writes = dict.fromkeys((file, file.replace(".bfq", "")), wanted)
    container = created(runtime, make_bundle, full, writes, False)
    if container is not None:
        assert any(wanted in lines(container, name) for name in writes)


@V2
@covers("config-linux/unified/15")
def test_weight_of_a_device_on_v2(runtime: Runtime, make_bundle: Make, disk: dict[str, int]) -> None:
    """A device's weight is converted, or refused (config-linux.md#unified)."""
    members = {"blockIO.weightDevice": [disk | {"weight": 300}]}
    container = created(runtime, make_bundle, members, {}, True)
    if container is not None:
        wanted = {"io.bfq.weight": f"{number(disk)} 300", "io.weight": f"{number(disk)} {stretched(300)}"}
        assert any(text in lines(container, name) for name, text in wanted.items())
