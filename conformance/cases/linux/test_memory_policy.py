"""config-linux.md#memory-policy: linux.memoryPolicy, as get_mempolicy(2) of the program tells."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.unsupported import create_or_skip, report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import EnvironmentProblem

pytestmark = needs("numa")
Make = Callable[[], Bundle]
Rejected = Callable[..., Result]
ROW = "config-linux/memory-policy/"


# Number of set_mempolicy(2), by uname(2) machine: libc has no function for it.
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237, "riscv64": 237, "loongarch64": 237, "ppc64le": 261, "s390x": 270}
MPOL_DEFAULT, MPOL_LOCAL = 0, 4


@pytest.fixture
def callers_policy() -> Iterator[None]:
    """Gives the runtime's caller, that is us, the policy MPOL_LOCAL; taken back afterwards."""
    number = SET_MEMPOLICY.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of set_mempolicy(2) of this machine is not known")
    library = ctypes.CDLL(None, use_errno=True)
    for mode in (MPOL_LOCAL, MPOL_DEFAULT):
        if library.syscall(number, mode, None, ctypes.c_long(0)) < 0:
            raise EnvironmentProblem(f"set_mempolicy: {os.strerror(ctypes.get_errno())}")
        if mode == MPOL_LOCAL:
            yield


def policy(bundle: Bundle, mode: str | None, nodes: str | None = None, *flags: str) -> Bundle:
    """Set linux.memoryPolicy, without the members that are None or empty."""
    entry: dict[str, Any] = {} if mode is None else {"mode": f"MPOL_{mode}"}
    if nodes is not None:
        entry["nodes"] = nodes
    if flags:
        entry["flags"] = [f"MPOL_F_{name}" for name in flags]
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["memoryPolicy"] = entry
    return bundle


def found(runtime: Runtime, bundle: Bundle) -> tuple[str, list[int], set[str]]:
    """Mode, nodes and flags of the program's policy."""
    report = report_or_skip(runtime, bundle)["mempolicy"]
    assert report is not None
    return report["mode_name"], report["nodes"], {*report["flags"]}


@pytest.mark.parametrize(
    ("mode", "nodes"),
    [
        pytest.param("BIND", "0", marks=covers(ROW + "4")),
        pytest.param("INTERLEAVE", "0", marks=covers(ROW + "5")),
        pytest.param("WEIGHTED_INTERLEAVE", "0", marks=[covers(ROW + "6"), needs("kernel>=6.9")]),
        pytest.param("PREFERRED", "0", marks=covers(ROW + "7")),
        pytest.param("PREFERRED_MANY", "0", marks=[covers(ROW + "8"), needs("kernel>=5.15")]),
    ],
)
@covers(ROW + "1", ROW + "12")
def test_mode_with_a_node(runtime: Runtime, bundle: Bundle, mode: str, nodes: str) -> None:
    """The program has this mode and node, and no flag (config-linux.md#memory-policy)."""
    assert found(runtime, policy(bundle, mode, nodes)) == (f"MPOL_{mode}", [0], set())


@pytest.mark.parametrize(
    ("mode", "nodes"),
    [
        pytest.param("LOCAL", None, marks=covers(ROW + "9"), id="LOCAL"),
        pytest.param("LOCAL", "", marks=covers(ROW + "9"), id="LOCAL-empty"),
    ],
)
@covers(ROW + "1")
def test_mode_without_nodes(runtime: Runtime, bundle: Bundle, mode: str, nodes: str | None) -> None:
    """The program has this mode and no node (config-linux.md#memory-policy)."""
    assert found(runtime, policy(bundle, mode, nodes)) == (f"MPOL_{mode}", [], set())


@covers(ROW + "1", ROW + "3")
def test_default(runtime: Runtime, bundle: Bundle, callers_policy: None) -> None:
    """MPOL_DEFAULT ends what the runtime has inherited itself (config-linux.md#memory-policy)."""
    assert found(runtime, policy(bundle, "DEFAULT")) == ("MPOL_DEFAULT", [], set())


@covers(ROW + "7")
def test_preferred_without_nodes(runtime: Runtime, bundle: Bundle) -> None:
    """MPOL_PREFERRED without nodes means local allocation (set_mempolicy(2))."""
    assert found(runtime, policy(bundle, "PREFERRED"))[:2] in (("MPOL_LOCAL", []), ("MPOL_PREFERRED", []))


@needs("exec")
@covers(ROW + "1")
def test_joining_process(runtime: Runtime, bundle: Bundle) -> None:
    """A process that exec adds has the policy too (config-linux.md#memory-policy)."""
    container = create_or_skip(runtime, policy(bundle, "PREFERRED", "0", "STATIC_NODES").probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    result = container.exec("/probe", "report")
    found = parse(result.stdout, result)["mempolicy"]
    assert (found["mode_name"], found["nodes"], found["flags"]) == ("MPOL_PREFERRED", [0], ["MPOL_F_STATIC_NODES"])


@covers(ROW + "1")
def test_no_policy(bundle: Bundle, default_report: Any) -> None:
    """Without memoryPolicy the program has the default policy."""
    assert default_report["mempolicy"]["mode_name"] == "MPOL_DEFAULT"


@covers(ROW + "10")
@pytest.mark.parametrize("nodes", ["0-0", "0,0", "0-1", "0,1-3"])
def test_list_of_nodes(runtime: Runtime, bundle: Bundle, nodes: str) -> None:
    """nodes is a list of numbers and ranges; the kernel leaves out those that do not exist (config-linux.md)."""
    mode, got, _ = found(runtime, policy(bundle, "BIND", nodes))
    assert mode == "MPOL_BIND"
    assert got[:1] == [0]


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param("NUMA_BALANCING", marks=[covers(ROW + "13"), needs("kernel>=5.12")]),
        pytest.param("RELATIVE_NODES", marks=covers(ROW + "14")),
        pytest.param("STATIC_NODES", marks=covers(ROW + "15")),
    ],
)
def test_flag(runtime: Runtime, bundle: Bundle, flag: str) -> None:
    """The policy has this flag and no other (config-linux.md#memory-policy)."""
    assert found(runtime, policy(bundle, "BIND", "0", flag)) == ("MPOL_BIND", [0], {f"MPOL_F_{flag}"})


@covers(ROW + "10", ROW + "15")
@pytest.mark.parametrize("nodes", ["0-1", "0,1-3"])
def test_every_node_reaches_the_kernel(runtime: Runtime, bundle: Bundle, nodes: str) -> None:
    """With MPOL_F_STATIC_NODES the kernel tells the nodes that it was given, those that do not exist included."""
    asked = {"0-1": [0, 1], "0,1-3": [0, 1, 2, 3]}[nodes]
    mode, got, flags = found(runtime, policy(bundle, "BIND", nodes, "STATIC_NODES"))
    assert (mode, got, flags) == ("MPOL_BIND", asked, {"MPOL_F_STATIC_NODES"})


WRONG: dict[str, tuple[str, tuple[Any, ...]]] = {
    "no mode": ("2", (None, "0")),
    "DEFAULT with nodes": ("11", ("DEFAULT", "0")),
    "LOCAL with nodes": ("11", ("LOCAL", "0")),
    "BIND without nodes": ("11", ("BIND",)),
    "BIND with empty nodes": ("11", ("BIND", "")),
    "INTERLEAVE without nodes": ("11", ("INTERLEAVE",)),
    "PREFERRED_MANY without nodes": ("11", ("PREFERRED_MANY",)),
    "letters": ("10", ("BIND", "a")),
    "a node that no kernel has": ("10", ("BIND", "0-9876543210")),
    "balancing of INTERLEAVE": ("13", ("INTERLEAVE", "0", "NUMA_BALANCING")),
    "relative and static": ("15", ("BIND", "0", "RELATIVE_NODES", "STATIC_NODES")),
}


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, marks=covers(ROW + row), id=name) for name, (row, entry) in WRONG.items()]
)
def test_wrong_policy(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, entry: tuple[Any, ...]
) -> None:
    """What set_mempolicy(2) refuses is an error of create or start (config-linux.md#memory-policy)."""
    create_or_skip(runtime, policy(make_bundle(), "BIND", "0"))
    rejected(runtime, policy(bundle, *entry), by="start")
