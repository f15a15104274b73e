"""config-linux.md#seccomp: architectures and flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux import filters
from seatrial.conformance.cases.linux.filters import ARGUMENTS, CALL, allow_all, rule
from seatrial.conformance.cases.linux.system_calls import COPY_FILE_RANGE_32
from seatrial.conformance.cases.unsupported import report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, parse

pytestmark = needs("seccomp")

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config-linux/seccomp/"
NATIVE = {
    "x86_64": "SCMP_ARCH_X86_64",
    "aarch64": "SCMP_ARCH_AARCH64",
    "riscv64": "SCMP_ARCH_RISCV64",
    "loongarch64": "SCMP_ARCH_LOONGARCH64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "s390x": "SCMP_ARCH_S390X",
}
# constant without SCMP_ARCH_: the version of the spec that brought it, where that is after 1.0.0
ARCHITECTURES = {
    **dict.fromkeys(("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL"), "1.0.0"),
    **dict.fromkeys(("MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X", "PARISC"), "1.0.0"),
    "PARISC64": "1.0.0",
    "RISCV64": "1.1.0",
    **dict.fromkeys(("LOONGARCH64", "M68K", "SH", "SHEB"), "1.2.1"),
}


def native() -> str:
    """The constant of this machine; the case is skipped where it is not known."""
    machine = os.uname().machine
    if machine not in NATIVE:
        pytest.skip(f"no SCMP_ARCH_ constant is known for {machine}")
    return NATIVE[machine]


@covers(ROW + "7")
@pytest.mark.parametrize("kind", ["absent", "empty", "native"])
def test_native_architecture(bundle: Bundle, report: Reader, kind: str) -> None:
    """The filter holds for native calls, listed or not (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"))
    if kind != "absent":
        bundle.linux["seccomp"]["architectures"] = [native()] if kind == "native" else []
    found = report(bundle.probe(f"syscall {CALL} {ARGUMENTS} -- syscall getppid"))
    assert [verb.errno for verb in found.verbs] == ["EPERM", None]


@covers(ROW + "7")
@pytest.mark.parametrize("named", [True, False], ids=["with native", "without native"])
def test_foreign_architecture_of_the_machine(bundle: Bundle, report: Reader, named: bool) -> None:
    """With SCMP_ARCH_X86 and X32 the filter holds for 32-bit calls of an x86-64 process, too, and lets the others pass
    (config-linux.md#seccomp)."""
    if os.uname().machine != "x86_64":
        pytest.skip("the probe makes 32-bit calls on x86-64 only")
    listed = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), architectures=[*(["SCMP_ARCH_X86_64"] if named else []), *listed])
    number = COPY_FILE_RANGE_32["x86_64"]
    verbs = f"syscall {CALL} {ARGUMENTS} -- syscall-32 {number} -1 0 -1 0 0 0 -- syscall-32 20"  # getpid
    found = report(bundle.probe(verbs))
    if found.verbs[2].errno == "ENOSYS":
        pytest.skip("the kernel has no 32-bit calls")
    assert [verb.errno for verb in found.verbs] == ["EPERM", "EPERM", None]


@covers(ROW + "8")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_is_known(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """Each constant is taken beside the native one, or cleanly refused as unsupported (config-linux.md#seccomp)."""
    runtime.prove_sane()
    if ARCHITECTURES[name] > "1.0.2":
        bundle.config["ociVersion"] = ARCHITECTURES[name]
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), architectures=sorted({native(), f"SCMP_ARCH_{name}"}))
    result = runtime.run(bundle.probe(f"syscall {CALL} {ARGUMENTS}", report=False), check=False)
    assert not result.crashed
    if result.ok or f"SCMP_ARCH_{name}" == native():
        assert parse(result.check().stdout).verbs[0].errno == "EPERM"
    else:
        assert result.stdout == ""
        assert not runtime.state(bundle.name).ok


@covers(ROW + "8")
@pytest.mark.parametrize("name", ["SCMP_ARCH_NOSUCH", "x86_64", ""], ids=["NOSUCH", "x86_64", "empty"])
def test_unknown_architecture_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, name: str
) -> None:
    """Any other constant is refused (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), architectures=[native(), name])
    control = allow_all(make_bundle(), rule("SCMP_ACT_ERRNO"), architectures=[native()])
    rejected(runtime, bundle, by="start", control=control)


# -- flags -------------------------------------------------------------------------------------------------------------


@covers(ROW + "9")
@pytest.mark.parametrize("members", [{}, {"flags": []}], ids=["absent", "empty"])
def test_no_flags(bundle: Bundle, report: Reader, members: dict[str, Any]) -> None:
    """flags may be left out, and may be empty (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), **members)
    assert report(bundle.probe(f"syscall {CALL} {ARGUMENTS}")).verbs[0].errno == "EPERM"


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param("SECCOMP_FILTER_FLAG_TSYNC", marks=covers(ROW + "10")),
        pytest.param("SECCOMP_FILTER_FLAG_LOG", marks=[covers(ROW + "11"), needs("kernel>=4.14")]),
        pytest.param("SECCOMP_FILTER_FLAG_SPEC_ALLOW", marks=[covers(ROW + "12"), needs("kernel>=4.17")]),
    ],
)
def test_flag_is_taken(runtime: Runtime, bundle: Bundle, flag: str) -> None:
    """With the flag the filter is in force, in all threads (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), flags=[flag])
    bundle.probe(f"syscall {CALL} {ARGUMENTS} -- syscall-thread {CALL} {ARGUMENTS}")
    found = report_or_skip(runtime, bundle)
    assert found.verbs[0].errno == "EPERM"
    assert found.verbs[1].value["errno"] == "EPERM"


@covers(ROW + "11")
@needs("root", "kernel>=4.16")
@pytest.mark.parametrize("wanted", [True, False], ids=["LOG", "no flag"])
def test_log_flag_is_on_the_filter(runtime: Runtime, bundle: Bundle, make_bundle: Make, wanted: bool) -> None:
    """The kernel has SECCOMP_FILTER_FLAG_LOG with the filter just if it was asked for (config-linux.md#seccomp)."""
    flags = ["SECCOMP_FILTER_FLAG_LOG"] if wanted else []
    report_or_skip(runtime, allow_all(make_bundle(), rule("SCMP_ACT_ERRNO"), flags=flags))
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), flags=flags)
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    found = filters.attached(container.pid)
    assert found
    assert bool(found[-1][0] & filters.FLAG_LOG) is wanted


@covers(ROW + "12")
@needs("kernel>=4.17")
def test_speculation_is_left_alone(runtime: Runtime, bundle: Bundle, default_report: Report) -> None:
    """With SECCOMP_FILTER_FLAG_SPEC_ALLOW the filter forces no mitigation of speculative store bypass
    (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), flags=["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])
    found = report_or_skip(runtime, bundle)["seccomp"]
    assert found["mode"] == 2
    assert found["speculation_store_bypass"] == default_report["seccomp"]["speculation_store_bypass"]


@covers(ROW + "10", ROW + "11", ROW + "12")
@pytest.mark.parametrize("flag", ["SECCOMP_FILTER_FLAG_NOSUCH", "LOG", ""], ids=["NOSUCH", "LOG", "empty"])
def test_unknown_flag_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, flag: str
) -> None:
    """Any other flag is refused (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), flags=[flag])
    control = allow_all(make_bundle(), rule("SCMP_ACT_ERRNO"), flags=[])
    rejected(runtime, bundle, by="start", control=control)
