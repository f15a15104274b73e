"""config.md#linux-process: scheduler and ioPriority, as sched_getattr(2) and ioprio_get(2) of the program tell."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.airlock import cgroups, subtree
from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.unsupported import report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.engine.checks import proper_refusal

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config/linux-process/"
NUMBERS = {"OTHER": 0, "FIFO": 1, "RR": 2, "BATCH": 3, "IDLE": 5, "DEADLINE": 6}  # sched(7)
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 42000, "deadline": 1000000, "period": 1000000}  # ns
RESET_ON_FORK, RECLAIM, DL_OVERRUN = 1, 2, 4  # SCHED_FLAG_... of <linux/sched.h>
REALTIME_RUNTIME = 10000  # us of each second, for groups that have a share of their own (CONFIG_RT_GROUP_SCHED)


def scheduler(bundle: Bundle, **members: Any) -> Bundle:
    """Set process.scheduler."""
    bundle.config["ociVersion"] = "1.1.0"
    bundle.process["scheduler"] = members
    return bundle


def realtime(bundle: Bundle) -> Bundle:
    """Give the container's cgroup real-time share where the kernel wants that; skip where ours has none to give."""
    view = cgroups.read_view()
    own = [place.own for place in subtree.hierarchies() if place.mount == view.v1.get("cpu")]
    share = os.path.join(own[0], "cpu.rt_runtime_us") if own else ""
    if os.path.exists(share):
        with open(share, encoding="ascii") as file:
            if int(file.read()) < REALTIME_RUNTIME:
                pytest.skip("this cgroup has no real-time share (cpu.rt_runtime_us)")
        bundle.linux["resources"]["cpu"] = {"realtimeRuntime": REALTIME_RUNTIME, "realtimePeriod": 1000000}
    return bundle


@pytest.fixture
def caller() -> Iterator[Callable[..., None]]:
    """Gives the runtime's caller, that is us, a nice value and a policy; taken back afterwards."""
    before = (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))

    def change(nice: int, policy: int = os.SCHED_OTHER) -> None:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)

    yield change
    change(*before)


# -- policies ----------------------------------------------------------------------------------------------------------


@needs("root")
@pytest.mark.parametrize(
    ("policy", "nice"),
    [
        pytest.param("OTHER", 3, marks=covers(ROW + "17")),
        pytest.param("BATCH", 5, marks=covers(ROW + "20")),
        pytest.param("IDLE", None, marks=covers(ROW + "22")),
        pytest.param("OTHER", -4, marks=covers(ROW + "17")),
    ],
)
@covers(ROW + "15", ROW + "24", ROW + "26", "config/valid-values/3")
def test_policy_of_the_fair_class(
    runtime: Runtime, bundle: Bundle, caller: Callable[..., None], policy: str, nice: int | None
) -> None:
    """Policy and nice value are those of the config, not the caller's (config.md#linux-process)."""
    caller(7, os.SCHED_IDLE if policy == "BATCH" else os.SCHED_BATCH)
    members = {} if nice is None else {"nice": nice}
    found = report_or_skip(runtime, scheduler(bundle, policy=f"SCHED_{policy}", **members))["scheduler"]
    assert (found["policy"], found["flags"], found["priority"]) == (NUMBERS[policy], 0, 0)
    if nice is not None:
        assert found["nice"] == nice


@needs("root")
@pytest.mark.parametrize(
    "policy",
    [pytest.param("FIFO", marks=covers(ROW + "18")), pytest.param("RR", marks=covers(ROW + "19"))],
)
@pytest.mark.parametrize("priority", [1, 99])
@covers(ROW + "15", ROW + "25")
def test_realtime_policy(runtime: Runtime, bundle: Bundle, policy: str, priority: int) -> None:
    """Policy and static priority are those of the config (config.md#linux-process)."""
    realtime(scheduler(bundle, policy=f"SCHED_{policy}", priority=priority))
    found = report_or_skip(runtime, bundle)["scheduler"]
    assert (found["policy"], found["priority"], found["flags"]) == (NUMBERS[policy], priority, 0)


@needs("root", "kernel>=3.14")
@covers(ROW + "15", ROW + "23", ROW + "34", ROW + "35", ROW + "36")
def test_deadline_policy(runtime: Runtime, bundle: Bundle) -> None:
    """runtime, deadline and period are those of the config, in nanoseconds (config.md#linux-process)."""
    found = report_or_skip(runtime, scheduler(bundle, **{**DEADLINE, "deadline": 900000}))["scheduler"]
    assert found["policy"] == NUMBERS["DEADLINE"]
    assert (found["runtime"], found["deadline"], found["period"]) == (42000, 900000, 1000000)


@needs("root", "kernel>=3.14")
@covers(ROW + "36")
def test_period_is_the_deadline_by_default(runtime: Runtime, bundle: Bundle) -> None:
    """Without period the kernel's rule applies: the deadline is the period (config.md#linux-process)."""
    members = {name: value for name, value in DEADLINE.items() if name != "period"}
    found = report_or_skip(runtime, scheduler(bundle, **members))["scheduler"]
    assert (found["policy"], found["period"]) == (NUMBERS["DEADLINE"], DEADLINE["deadline"])


@needs("root")
@pytest.mark.parametrize(
    "missing",
    [pytest.param("runtime", marks=covers(ROW + "34")), pytest.param("deadline", marks=covers(ROW + "35"))],
)
def test_deadline_policy_without_its_times_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, missing: str
) -> None:
    """Without runtime or deadline it is 0, which the kernel refuses (config.md#linux-process)."""
    rejected(runtime, scheduler(bundle, **{n: v for n, v in DEADLINE.items() if n != missing}), by="start")


@covers(ROW + "25")
@needs("root")
@pytest.mark.parametrize("priority", [None, 0, 100], ids=["absent", "0", "100"])
def test_realtime_policy_needs_a_priority(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, priority: int | None
) -> None:
    """Without priority it is 0, which SCHED_FIFO does not take (config.md#linux-process)."""
    scheduler(bundle, policy="SCHED_FIFO", **({} if priority is None else {"priority": priority}))
    rejected(runtime, realtime(bundle), by="start")


@needs("root")
@covers(ROW + "24")
@pytest.mark.parametrize("policy", ["OTHER", "BATCH"])
def test_nice_is_0_by_default(runtime: Runtime, bundle: Bundle, caller: Callable[..., None], policy: str) -> None:
    """Without nice it is 0, whatever the caller's (config.md#linux-process)."""
    caller(7)
    found = report_or_skip(runtime, scheduler(bundle, policy=f"SCHED_{policy}"))
    assert (found["scheduler"]["policy"], found["scheduler"]["nice"]) == (NUMBERS[policy], 0)


@needs("root")
@covers(ROW + "15")
def test_scheduler_may_be_left_out(bundle: Bundle, report: Reader, caller: Callable[..., None]) -> None:
    """Without scheduler the program has its caller's attributes (config.md#linux-process)."""
    caller(7, os.SCHED_BATCH)
    found = report(bundle)["scheduler"]
    assert (found["policy"], found["nice"]) == (NUMBERS["BATCH"], 7)


@covers(ROW + "16")
def test_policy_is_required(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A scheduler without policy is refused (config.md#linux-process)."""
    rejected(runtime, scheduler(bundle, nice=5), by="start")


@covers(ROW + "21")
@needs("root")
def test_iso_policy_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """SCHED_ISO, which no kernel has, is not turned into another policy (config.md#linux-process)."""
    rejected(runtime, scheduler(bundle, policy="SCHED_ISO"), by="start")


# -- flags -------------------------------------------------------------------------------------------------------------


@needs("root")
@covers(ROW + "27", ROW + "26")
def test_reset_on_fork(runtime: Runtime, bundle: Bundle) -> None:
    """With SCHED_FLAG_RESET_ON_FORK a child does not keep a negative nice value; without flags it does
    (config.md#linux-process)."""
    verbs = "syscall getpriority 0 0 -- child syscall getpriority 0 0"
    for flags, child in ((["SCHED_FLAG_RESET_ON_FORK"], 20), ([], 25)):  # the system call returns 20 - nice
        scheduler(bundle, policy="SCHED_OTHER", nice=-5, flags=flags)
        found = report_or_skip(runtime, bundle.probe(verbs))
        assert [verb.value for verb in found.verbs if verb.verb == "syscall"] == [25, child]
        assert found["scheduler"]["flags"] == (RESET_ON_FORK if flags else 0)


@needs("root", "kernel>=4.17")
@pytest.mark.parametrize(
    ("flag", "bit"),
    [
        pytest.param("SCHED_FLAG_RECLAIM", RECLAIM, marks=covers(ROW + "28"), id="RECLAIM"),
        pytest.param("SCHED_FLAG_DL_OVERRUN", DL_OVERRUN, marks=covers(ROW + "29"), id="DL_OVERRUN"),
    ],
)
def test_deadline_flag(runtime: Runtime, bundle: Bundle, flag: str, bit: int) -> None:
    """The flag shows beside the deadline policy (config.md#linux-process)."""
    found = report_or_skip(runtime, scheduler(bundle, **DEADLINE, flags=[flag]))["scheduler"]
    assert (found["policy"], found["flags"]) == (NUMBERS["DEADLINE"], bit)


@needs("root", "kernel>=5.3")
@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        pytest.param(
            "SCHED_FLAG_KEEP_POLICY",
            {"policy": NUMBERS["BATCH"], "nice": 3},
            marks=covers(ROW + "30"),
            id="KEEP_POLICY",
        ),
        pytest.param(
            "SCHED_FLAG_KEEP_PARAMS", {"nice": 7, "flags": RESET_ON_FORK}, marks=covers(ROW + "31"), id="KEEP_PARAMS"
        ),
    ],
)
def test_flag_that_keeps(
    runtime: Runtime, bundle: Bundle, caller: Callable[..., None], flag: str, wanted: dict[str, int]
) -> None:
    """What the flag names stays as it was, the rest is as configured (config.md#linux-process)."""
    # A kernel that keeps the policy keeps its reset-on-fork flag, and one that keeps parameters keeps the policy.
    caller(7, os.SCHED_BATCH)
    flags = [flag, "SCHED_FLAG_RESET_ON_FORK"]
    found = report_or_skip(runtime, scheduler(bundle, policy="SCHED_OTHER", nice=3, flags=flags))["scheduler"]
    assert {name: found[name] for name in wanted} == wanted


@needs("root", "kernel>=5.3")
@pytest.mark.parametrize(
    ("flag", "bit"),
    [
        pytest.param("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20, marks=covers(ROW + "32"), id="UTIL_CLAMP_MIN"),
        pytest.param("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40, marks=covers(ROW + "33"), id="UTIL_CLAMP_MAX"),
    ],
)
@covers("config/valid-values/3")
def test_utilization_clamp_is_honoured_or_refused(runtime: Runtime, bundle: Bundle, flag: str, bit: int) -> None:
    """The flag is in force, or refused: a kernel without CONFIG_UCLAMP_TASK has no such thing.  It is not dropped
    (config.md#linux-process).  The spec has no member for the value."""
    runtime.prove_sane()
    result = runtime.run(scheduler(bundle, policy="SCHED_OTHER", nice=3, flags=[flag]), check=False)
    if result.ok:
        found = parse(result.stdout, result)["scheduler"]
        assert (found["nice"], found["flags"] & bit) == (3, bit)
    else:
        proper_refusal(result)
        assert not runtime.state(bundle.name).ok


@needs("root")
@covers(ROW + "27", ROW + "28", ROW + "29", ROW + "30", ROW + "31")
@pytest.mark.parametrize("flag", ["SCHED_FLAG_NOSUCH", "RESET_ON_FORK"])
def test_unknown_flag_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, flag: str) -> None:
    """Any other flag is refused (config.md#linux-process)."""
    rejected(runtime, scheduler(bundle, policy="SCHED_OTHER", flags=[flag]), by="start")


# -- I/O priority ------------------------------------------------------------------------------------------------------

IOPRIO = {"x86_64": (251, 252)}  # numbers of ioprio_set(2) and ioprio_get(2)
CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


@pytest.fixture
def caller_io_priority() -> Iterator[Callable[[int, int], None]]:
    """Gives us an I/O priority (class, level); taken back afterwards."""
    numbers = IOPRIO.get(os.uname().machine, (30, 31))  # asm-generic
    call = ctypes.CDLL(None).syscall
    before = call(numbers[1], 1, 0)  # IOPRIO_WHO_PROCESS

    def change(kind: int, level: int) -> None:
        assert call(numbers[0], 1, 0, kind << 13 | level) == 0

    yield change
    call(numbers[0], 1, 0, before)


def io_priority(bundle: Bundle, kind: str, priority: int | None) -> Bundle:
    """Set process.ioPriority."""
    bundle.config["ociVersion"] = "1.1.0"
    bundle.process["ioPriority"] = {"class": kind, **({} if priority is None else {"priority": priority})}
    return bundle


@needs("root")
@pytest.mark.parametrize(
    ("kind", "priority"),
    [
        pytest.param("IOPRIO_CLASS_RT", 0, marks=covers(ROW + "41"), id="RT-0"),
        pytest.param("IOPRIO_CLASS_RT", 5, marks=covers(ROW + "41"), id="RT-5"),
        pytest.param("IOPRIO_CLASS_BE", 0, marks=covers(ROW + "42", ROW + "45"), id="BE-0"),
        pytest.param("IOPRIO_CLASS_BE", 7, marks=covers(ROW + "42", ROW + "45"), id="BE-7"),
        pytest.param("IOPRIO_CLASS_IDLE", 0, marks=covers(ROW + "43"), id="IDLE"),
    ],
)
@covers(ROW + "38", "config/valid-values/3")
def test_io_priority(
    runtime: Runtime, bundle: Bundle, caller_io_priority: Callable[[int, int], None], kind: str, priority: int
) -> None:
    """Class and level are those of the config, not the caller's (config.md#linux-process)."""
    caller_io_priority(2, 3)
    found = report_or_skip(runtime, io_priority(bundle, kind, priority))["io_priority"]
    assert (found["class"], found["level"]) == (CLASSES[kind], priority)


@covers(ROW + "39")
def test_io_priority_of_the_group(runtime: Runtime, bundle: Bundle) -> None:
    """The process group, forked children and executed programs have it, too (config.md#linux-process)."""
    io_priority(bundle, "IOPRIO_CLASS_BE", 6).probe("report -- child report -- exec-check /probe report", report=False)
    result_report = report_or_skip(runtime, bundle)
    assert result_report.result is not None
    lines = result_report.result.stdout.splitlines()
    reports = [parse(line) for line in lines if '"schema"' in line]
    assert len(reports) == 3
    for found in reports:
        for place in ("io_priority", "io_priority_group"):
            assert (found[place]["class"], found[place]["level"]) == (2, 6)


@needs("root")
@covers(ROW + "38")
def test_io_priority_may_be_left_out(
    bundle: Bundle, report: Reader, caller_io_priority: Callable[[int, int], None]
) -> None:
    """Without ioPriority the program has its caller's (config.md#linux-process)."""
    caller_io_priority(2, 3)
    found = report(bundle)["io_priority"]
    assert (found["class"], found["level"]) == (2, 3)


@pytest.mark.parametrize(
    ("kind", "priority"),
    [
        pytest.param(None, 4, marks=covers(ROW + "40"), id="no class"),
        pytest.param("IOPRIO_CLASS_NOSUCH", 4, marks=covers(ROW + "40"), id="unknown class"),
        pytest.param("IOPRIO_CLASS_NONE", 4, marks=covers(ROW + "40"), id="IOPRIO_CLASS_NONE"),
        pytest.param("IOPRIO_CLASS_BE", -1, marks=covers(ROW + "45"), id="priority -1"),
        pytest.param("IOPRIO_CLASS_BE", 8, marks=covers(ROW + "45"), id="priority 8"),
    ],
)
def test_bad_io_priority_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, kind: str | None, priority: int
) -> None:
    """A class is needed, one of three, and a priority of 0 to 7 (config.md#linux-process)."""
    io_priority(bundle, kind or "", priority)
    if kind is None:
        del bundle.process["ioPriority"]["class"]
    rejected(runtime, bundle, by="start")


@profile("spec")
@covers(ROW + "44")
def test_io_priority_needs_a_priority(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """By the text priority is required (config.md#linux-process)."""
    rejected(runtime, io_priority(bundle, "IOPRIO_CLASS_BE", None), by="start")


@profile("runc-compat")
@covers(ROW + "44")
def test_io_priority_is_0_by_default(runtime: Runtime, bundle: Bundle) -> None:
    """By the JSON schema, and in practice, priority may be left out and is 0 (config.md#linux-process)."""
    found = report_or_skip(runtime, io_priority(bundle, "IOPRIO_CLASS_BE", None))["io_priority"]
    assert (found["class"], found["level"]) == (2, 0)
