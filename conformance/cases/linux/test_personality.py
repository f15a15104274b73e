"""config-linux.md#personality: the execution domain, as the kernel tells the program."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux.filters import allow_all, rule
from seatrial.conformance.cases.unsupported import report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, parse

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
ROW = "config-linux/personality/"
PER_LINUX32, UNAME26, ASK = 8, 0x0020000, 0xFFFFFFFF
MACHINES_32 = {"x86_64": {"i686"}, "aarch64": {"armv8l", "armv8b"}, "ppc64le": {"ppcle", "ppc"}, "s390x": {"s390"}}


@pytest.fixture
def caller() -> Iterator[Callable[[int], None]]:
    """Gives the runtime's caller, that is us, a persona; taken back afterwards."""
    call = ctypes.CDLL(None).personality
    call.argtypes = [ctypes.c_ulong]
    before = call(ASK)
    yield lambda persona: call(persona)
    call(before)


def domain(bundle: Bundle, name: str, **members: Any) -> Bundle:
    """Set linux.personality."""
    bundle.linux["personality"] = {"domain": name, **members}
    return bundle


@covers(ROW + "1")
@pytest.mark.parametrize("persona", [0, PER_LINUX32, UNAME26], ids=["LINUX", "LINUX32", "UNAME26"])
def test_personality_is_inherited(bundle: Bundle, report: Reader, caller: Callable[[int], None], persona: int) -> None:
    """Without linux.personality the program has its caller's (config-linux.md#personality)."""
    caller(persona)
    assert report(bundle)["personality"] == persona


@covers(ROW + "3")
@pytest.mark.parametrize("persona", [0, PER_LINUX32], ids=["caller LINUX", "caller LINUX32"])
def test_linux(runtime: Runtime, bundle: Bundle, caller: Callable[[int], None], persona: int) -> None:
    """LINUX is the native domain, whatever the caller's (config-linux.md#personality)."""
    machine = os.uname().machine
    caller(persona)
    found = report_or_skip(runtime, domain(bundle, "LINUX"))
    assert (found["personality"], found["uts"]["machine"]) == (0, machine)


@covers(ROW + "4")
def test_linux32(runtime: Runtime, bundle: Bundle) -> None:
    """LINUX32 shows in personality(2) and in uname(2), in executed programs as well (config-linux.md#personality)."""
    machine = os.uname().machine
    found = report_or_skip(runtime, domain(bundle, "LINUX32").probe("exec-check /probe syscall personality 0xffffffff"))
    assert found["personality"] == PER_LINUX32
    assert found["uts"]["machine"] in MACHINES_32.get(machine, {found["uts"]["machine"]})
    assert found.verb("syscall", "personality").value == PER_LINUX32


@needs("seccomp")
@pytest.mark.parametrize(
    ("name", "persona"),
    [
        pytest.param("LINUX", 0, marks=covers(ROW + "3"), id="LINUX"),
        pytest.param("LINUX32", PER_LINUX32, marks=covers(ROW + "4"), id="LINUX32"),
    ],
)
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_domain_under_a_filter(
    runtime: Runtime, bundle: Bundle, caller: Callable[[int], None], name: str, persona: int, no_new_privileges: bool
) -> None:
    """A filter that refuses personality(2) is for the program, not for the runtime (config-linux.md#personality)."""
    caller(PER_LINUX32 - persona)
    bundle.process["noNewPrivileges"] = no_new_privileges
    allow_all(domain(bundle, name), rule("SCMP_ACT_ERRNO", "personality"))
    found = report_or_skip(runtime, bundle.probe("syscall personality 0xffffffff -- read /proc/self/personality"))
    assert found.verbs[0].errno == "EPERM"
    assert int(found.verbs[1].value, 16) == persona


@needs("exec")
@pytest.mark.parametrize(
    ("name", "persona"),
    [
        pytest.param("LINUX", 0, marks=covers(ROW + "3"), id="LINUX"),
        pytest.param("LINUX32", PER_LINUX32, marks=covers(ROW + "4"), id="LINUX32"),
    ],
)
def test_domain_of_a_joining_process(
    runtime: Runtime,
    bundle: Bundle,
    make_bundle: Callable[[], Bundle],
    caller: Callable[[int], None],
    name: str,
    persona: int,
) -> None:
    """A process that exec adds is in the same domain (config-linux.md#personality)."""
    report_or_skip(runtime, domain(make_bundle(), name))
    container = runtime.create(domain(bundle, name).probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    caller(PER_LINUX32 - persona)
    result = container.exec("/probe", "syscall", "personality", "0xffffffff")
    assert parse(result.stdout, result).verbs[0].value == persona


@covers(ROW + "5", ROW + "1")
@pytest.mark.parametrize("members", [{}, {"flags": []}], ids=["absent", "empty"])
def test_flags_may_be_left_out(runtime: Runtime, bundle: Bundle, members: dict[str, Any]) -> None:
    """flags may be left out, and may be empty (config-linux.md#personality)."""
    assert report_or_skip(runtime, domain(bundle, "LINUX", **members))["personality"] == 0


@covers(ROW + "6")
@pytest.mark.parametrize("flag", ["ADDR_NO_RANDOMIZE", "UNAME26", "NOSUCH"])
def test_flag_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, flag: str) -> None:
    """No flag is supported (config-linux.md#personality)."""
    rejected(runtime, domain(bundle, "LINUX", flags=[flag]), by="start")


@covers(ROW + "2")
def test_domain_is_required(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """personality without domain is refused (config-linux.md#personality)."""
    bundle.linux["personality"] = {}
    rejected(runtime, bundle, by="start")


@pytest.mark.parametrize("name", ["LINUX64", "BSD", "linux32"])
@covers(ROW + "3", ROW + "4")
def test_unknown_domain_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, name: str) -> None:
    """Any other domain is refused (config-linux.md#personality)."""
    rejected(runtime, domain(bundle, name), by="start")
