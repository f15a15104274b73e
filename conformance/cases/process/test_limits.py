"""config.md#posix-process and #linux-process: resource limits, OOM score, no_new_privs."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import Part, together

Reader = Callable[..., Report]
Rejected = Callable[..., Result]

# soft and hard values that the program can live with, none of them a usual default
LIMITS = {
    "RLIMIT_AS": (1 << 34, 1 << 35),
    "RLIMIT_CORE": (4096, 8192),
    "RLIMIT_CPU": (1001, 1002),
    "RLIMIT_DATA": (1 << 33, 1 << 34),
    "RLIMIT_FSIZE": (1 << 33, 1 << 34),
    "RLIMIT_LOCKS": (77, 78),
    "RLIMIT_MEMLOCK": (8192, 16384),
    "RLIMIT_MSGQUEUE": (5000, 6000),
    "RLIMIT_NICE": (0, 0),
    "RLIMIT_NOFILE": (333, 444),
    "RLIMIT_NPROC": (3333, 4444),
    "RLIMIT_RSS": (1 << 33, 1 << 34),
    "RLIMIT_RTPRIO": (0, 0),
    "RLIMIT_RTTIME": (1000001, 1000002),
    "RLIMIT_SIGPENDING": (111, 222),
    "RLIMIT_STACK": (1 << 22, 1 << 23),
}


def limit_all(bundle: Bundle) -> None:
    """Ask for all of LIMITS."""
    bundle.process["rlimits"] = [{"type": name, "soft": soft, "hard": hard} for name, (soft, hard) in LIMITS.items()]


@together("all")
@covers("config/posix-process/3", "config/posix-process/5")
def test_every_limit_of_linux_is_known(bundle: Bundle) -> Part:
    """All sixteen names are accepted, and getrlimit succeeds for each (config.md#posix-process)."""
    limit_all(bundle)
    limited = (yield None)["rlimits"]
    assert sorted(name for name in LIMITS if limited.get(name) is None) == []


@together("all")
@covers("config/posix-process/7")
def test_soft_limits(bundle: Bundle) -> Part:
    """rlim_cur is soft, above 2^32 as well (config.md#posix-process)."""
    limit_all(bundle)
    limited = (yield None)["rlimits"]
    assert {name: limited[name][0] for name in LIMITS} == {name: soft for name, (soft, _) in LIMITS.items()}


@together("all")
@covers("config/posix-process/9")
def test_hard_limits(bundle: Bundle) -> Part:
    """rlim_max is hard (config.md#posix-process)."""
    limit_all(bundle)
    limited = (yield None)["rlimits"]
    assert {name: limited[name][1] for name in LIMITS} == {name: hard for name, (_, hard) in LIMITS.items()}


@together(lambda value: "second" if value else "first")
@covers("config/posix-process/7", "config/posix-process/9")
@pytest.mark.parametrize("value", [0, (1 << 64) - 1], ids=["zero", "unlimited"])
def test_extreme_limits(bundle: Bundle, value: int) -> Part:
    """0 and 2^64-1 (no limit) are values like others (config.md#posix-process)."""
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": value, "hard": value}]
    found = yield None
    assert found["rlimits"]["RLIMIT_CORE"] == [value, value]


@needs("root", "cap:SYS_RESOURCE")
@covers("config/posix-process/9")
def test_hard_limit_above_that_of_the_caller(bundle: Bundle, report: Reader) -> None:
    """A privileged runtime can raise a hard limit (config.md#posix-process)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": hard}]
    assert report(bundle)["rlimits"]["RLIMIT_NOFILE"] == [100, hard]


@covers("config/posix-process/1")
def test_limits_are_inherited_by_default(bundle: Bundle, report: Reader) -> None:
    """Without rlimits the program has the caller's (config.md#posix-process)."""
    del bundle.process["rlimits"]
    found = report(bundle)["rlimits"]
    names = ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_STACK", "RLIMIT_NPROC")
    unlimited = (1 << 64) - 1
    mine = {
        name: [unlimited if value == resource.RLIM_INFINITY else value for value in resource.getrlimit(number)]
        for name in names
        if (number := getattr(resource, name)) is not None
    }
    assert {name: found[name] for name in names} == mine


@pytest.mark.parametrize("name", ["RLIMIT_NOSUCH", "rlimit_nofile", "NOFILE", ""])
@covers("config/posix-process/4")
def test_unknown_limit_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, name: str) -> None:
    """A type that the kernel does not have is refused (config.md#posix-process)."""
    bundle.process["rlimits"] = [{"type": name, "soft": 1, "hard": 1}]
    rejected(runtime, bundle, by="start")


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("type", marks=covers("config/posix-process/2")),
        pytest.param("soft", marks=covers("config/posix-process/6")),
        pytest.param("hard", marks=covers("config/posix-process/8")),
    ],
)
def test_limit_is_complete(runtime: Runtime, bundle: Bundle, rejected: Rejected, member: str) -> None:
    """type, soft and hard are required (config.md#posix-process)."""
    entry: dict[str, Any] = {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}
    del entry[member]
    bundle.process["rlimits"] = [entry]
    rejected(runtime, bundle, by="start")


@pytest.mark.parametrize("second", [100, 50], ids=["same", "different"])
@covers("config/posix-process/10")
def test_repeated_limit_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, second: int) -> None:
    """Two entries of one type are refused (config.md#posix-process)."""
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": value, "hard": value} for value in (100, second)]
    rejected(runtime, bundle)


@together(lambda value: {500: "first", 0: "second"}.get(value, "third"))
@pytest.mark.parametrize("value", [500, 0, 1000])
@covers("config/linux-process/13", "config/linux-process/12")
def test_oom_score_adj(bundle: Bundle, value: int) -> Part:
    """oom_score_adj is oomScoreAdj (config.md#linux-process)."""
    bundle.process["oomScoreAdj"] = value
    found = yield None
    assert found["oom_score_adj"] == value


@needs("root", "cap:SYS_RESOURCE")
@covers("config/linux-process/13")
def test_oom_score_adj_can_be_lowered(bundle: Bundle, report: Reader) -> None:
    """A privileged runtime sets a negative score too (config.md#linux-process)."""
    bundle.process["oomScoreAdj"] = -1000
    assert report(bundle)["oom_score_adj"] == -1000


@pytest.mark.parametrize("value", [-1001, 1001])
@covers("config/linux-process/12")
def test_oom_score_adj_has_a_range(runtime: Runtime, bundle: Bundle, rejected: Rejected, value: int) -> None:
    """A value outside -1000..1000 is refused (config.md#linux-process)."""
    bundle.process["oomScoreAdj"] = value
    rejected(runtime, bundle, by="start")


@needs("root")
@covers("config/linux-process/14")
def test_oom_score_adj_is_left_alone(bundle: Bundle, report: Reader) -> None:
    """Without oomScoreAdj the program has the caller's (config.md#linux-process)."""
    own = f"/proc/{os.getpid()}/oom_score_adj"
    with open(own, encoding="ascii") as file:
        old = file.read()
    with open(own, "w", encoding="ascii") as file:
        file.write("123")
    try:
        found = report(bundle)
    finally:
        with open(own, "w", encoding="ascii") as file:
            file.write(old)
    assert found["oom_score_adj"] == 123


@together(lambda value: {None: "first", False: "second"}.get(value, "third"))
@pytest.mark.parametrize("value", [None, False, True])
@covers("config/linux-process/11")
def test_no_new_privileges(bundle: Bundle, value: bool | None) -> Part:
    """no_new_privs is set for true, and for true only (config.md#linux-process)."""
    bundle.process["noNewPrivileges"] = value
    if value is None:
        del bundle.process["noNewPrivileges"]
    found = yield None
    assert found["no_new_privs"] == int(value is True)


@needs("ids")
@pytest.mark.parametrize("value", [False, True])
@covers("config/linux-process/11")
def test_setuid_program_under_no_new_privileges(bundle: Bundle, report: Reader, value: bool) -> None:
    """With noNewPrivileges a setuid-root program keeps the user's ids (config.md#linux-process)."""
    shutil.copy(os.path.join(bundle.rootfs, "probe"), os.path.join(bundle.rootfs, "suid"))
    os.chmod(os.path.join(bundle.rootfs, "suid"), 0o4755)
    bundle.process["noNewPrivileges"] = value
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.capabilities("CAP_SETUID")
    found = report(bundle.args("/suid", "report"))
    assert found["ids"]["uid"][1] == (1000 if value else 0)
