"""config-linux.md#seccomp: actions and their errno, seen by what becomes of a system call."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux import filters
from seatrial.conformance.cases.linux.filters import ARGUMENTS, CALL, EXECUTED, allow_all, allow_the_rest, rule
from seatrial.conformance.cases.linux.system_calls import copy_file_range
from seatrial.conformance.cases.unsupported import report_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.driver.probe import Report, Verb

pytestmark = needs("seccomp")

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config-linux/seccomp/"
SINCE = {"SCMP_ACT_KILL_PROCESS": "1.1.0", "SCMP_ACT_KILL_THREAD": "1.1.0"}  # the others: 1.0.2 or before

# action: (ledger row, further needs)
ACTIONS: dict[str, tuple[int, tuple[str, ...]]] = {
    "SCMP_ACT_KILL": (28, ()),
    "SCMP_ACT_KILL_PROCESS": (29, ("kernel>=4.14",)),
    "SCMP_ACT_KILL_THREAD": (30, ()),
    "SCMP_ACT_TRAP": (31, ()),
    "SCMP_ACT_ERRNO": (32, ()),
    "SCMP_ACT_TRACE": (33, ()),
    "SCMP_ACT_ALLOW": (34, ()),
    "SCMP_ACT_LOG": (35, ("kernel>=4.14",)),
}
SETTINGS = f"syscall {CALL} {ARGUMENTS} -- child syscall {CALL} {ARGUMENTS} -- child syscall-thread {CALL} {ARGUMENTS}"
KILLERS = f"child syscall {CALL} {ARGUMENTS} -- child syscall-thread {CALL} {ARGUMENTS}"


def actions() -> list[object]:
    """All actions as parameters."""
    return [
        pytest.param(name, marks=[covers(f"{ROW}{row}"), *([needs(*needed)] if needed else [])], id=name)
        for name, (row, needed) in ACTIONS.items()
    ]


def check_effect(action: str, bundle: Bundle, runtime: Runtime) -> None:
    """CALL, in the bundle's program, meets the action."""
    if action in SINCE:
        bundle.config["ociVersion"] = SINCE[action]
    killer = action.startswith("SCMP_ACT_KILL")
    trap = f"syscall-trap {CALL} {ARGUMENTS}"
    bundle.probe(trap if action == "SCMP_ACT_TRAP" else KILLERS if killer else SETTINGS)
    found = report_or_skip(runtime, bundle)
    assert found["seccomp"]["mode"] == 2
    if killer:
        alone, threads = (verb.value for verb in found.verbs if verb.verb == "child")
        assert alone["signal"] == "SIGSYS"
        inner = [verb for verb in found.verbs if verb.verb == "syscall-thread"]
        if action == "SCMP_ACT_KILL_PROCESS":
            assert (inner, threads["signal"]) == ([], "SIGSYS")
        else:
            assert inner[0].value == {"killed": True, "errno": None}
            assert threads["exit"] == 0
    elif action == "SCMP_ACT_TRAP":
        trapped = found.verbs[0].value
        assert (trapped["signal"], trapped["code"]) == ("SIGSYS", 1)  # SYS_SECCOMP
        assert trapped["syscall"] == (copy_file_range() or trapped["syscall"])
    else:
        wanted = {"SCMP_ACT_ERRNO": "EPERM", "SCMP_ACT_TRACE": "ENOSYS"}.get(action, EXECUTED)
        calls = [verb.errno for verb in found.verbs if verb.verb == "syscall"]
        threads = [verb.value["errno"] for verb in found.verbs if verb.verb == "syscall-thread"]
        assert (calls, threads) == ([wanted, wanted], [wanted])


# -- actions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", actions())
def test_action_of_an_entry(runtime: Runtime, bundle: Bundle, action: str) -> None:
    """The call of the entry meets the action, while the default action is another (config-linux.md#seccomp)."""
    if action == "SCMP_ACT_ALLOW":
        allow_the_rest(bundle, "SCMP_ACT_ERRNO", rule(action))
    else:
        allow_all(bundle, rule(action))
    check_effect(action, bundle, runtime)


@pytest.mark.parametrize("action", ACTIONS)
@covers(ROW + "3")
def test_default_action(runtime: Runtime, bundle: Bundle, action: str) -> None:
    """A call that no entry is about meets the default action (config-linux.md#seccomp)."""
    check_effect(action, allow_the_rest(bundle, action), runtime)


@covers(ROW + "35")
@needs("root", "kernel>=4.16")
@pytest.mark.parametrize("default", [False, True], ids=["entry", "default"])
def test_log_action_is_in_the_filter(runtime: Runtime, bundle: Bundle, default: bool) -> None:
    """The kernel's filter returns SECCOMP_RET_LOG, which is what tells LOG from ALLOW (config-linux.md#seccomp)."""
    if default:
        allow_the_rest(bundle, "SCMP_ACT_LOG")
    else:
        allow_all(bundle, rule("SCMP_ACT_LOG"))
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    assert any(0x7FFC0000 in values for _, values in filters.attached(container.pid))


@covers(ROW + "32")
def test_call_is_not_executed(bundle: Bundle, report: Reader) -> None:
    """A call answered with an errno has no effect (config-linux.md#seccomp)."""
    allow_all(bundle.capabilities("CAP_SYS_ADMIN"), rule("SCMP_ACT_ERRNO", "setdomainname"))
    found = report(bundle.probe("syscall setdomainname str:changed 7 -- report", report=False))
    assert found.verbs[0].errno == "EPERM"
    assert found["uts"]["domainname"] != "changed"


@covers(ROW + "34")
def test_call_is_executed(bundle: Bundle, report: Reader) -> None:
    """An allowed call has its effect although the default action refuses it (config-linux.md#seccomp)."""
    allow_the_rest(bundle.capabilities("CAP_SYS_ADMIN"), "SCMP_ACT_ERRNO")
    found = report(bundle.probe(f"syscall setdomainname str:changed 7 -- report -- syscall {CALL}", report=False))
    assert [verb.errno for verb in found.verbs] == [None, "EPERM"]
    assert found["uts"]["domainname"] == "changed"


@covers(ROW + "34", ROW + "32")
def test_entry_like_the_default_action(bundle: Bundle, report: Reader) -> None:
    """An entry that says what the default says spoils nothing (config-linux.md#seccomp)."""
    bundle = allow_all(bundle, rule("SCMP_ACT_ALLOW", "getcpu"), rule("SCMP_ACT_ERRNO"), rule("SCMP_ACT_ALLOW", "sync"))
    found = report(bundle.probe(f"syscall getcpu null null null -- syscall {CALL} {ARGUMENTS}"))
    assert [verb.errno for verb in found.verbs] == [None, "EPERM"]


@covers(ROW + "25", ROW + "32")
def test_entry_with_several_names(bundle: Bundle, report: Reader) -> None:
    """The action holds for each name of the entry, and for no other call (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", CALL, "setdomainname", "acct"))
    calls = f"syscall {CALL} {ARGUMENTS} -- syscall setdomainname str:x 1 -- syscall acct null -- syscall getppid"
    found = report(bundle.capabilities("CAP_SYS_ADMIN", "CAP_SYS_PACCT").probe(calls))
    assert [verb.errno for verb in found.verbs] == ["EPERM", "EPERM", "EPERM", None]


@covers(ROW + "32", ROW + "34")
@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("uid", [0, pytest.param(1000, marks=needs("ids"))])
def test_filter_whatever_the_privileges(bundle: Bundle, report: Reader, no_new_privileges: bool, uid: int) -> None:
    """The filter is in force for every user, with and without noNewPrivileges (config-linux.md#seccomp)."""
    allow_the_rest(bundle, "SCMP_ACT_ERRNO")
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.process["user"] = {"uid": uid, "gid": uid}
    found = report(bundle.probe(f"syscall {CALL} {ARGUMENTS}"))
    assert found["no_new_privs"] is no_new_privileges
    assert (found["seccomp"]["mode"], found.verbs[0].errno) == (2, "EPERM")


@covers(ROW + "32")
def test_filter_holds_across_execve(bundle: Bundle, report: Reader) -> None:
    """Programs that the process executes are under the filter, too (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO"))
    found = report(bundle.probe(f"exec-check /probe syscall {CALL} {ARGUMENTS}"))
    assert found.verb("syscall").errno == "EPERM"


# -- the errno ---------------------------------------------------------------------------------------------------------


@covers(ROW + "37")
@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSYS, errno.ERFKILL, 0])
def test_errno_of_an_entry(bundle: Bundle, report: Reader, number: int) -> None:
    """errnoRet is what the call returns; 0 is success without effect (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_all(bundle, rule("SCMP_ACT_ERRNO", errnoRet=number))
    assert outcome(report(bundle.probe(f"syscall {CALL} {ARGUMENTS}")).verbs[0]) == number


def outcome(verb: Verb) -> int:
    """The errno as a number; 0 when the call returned 0."""
    if verb.errno is None:
        assert verb.value == 0
        return 0
    number = getattr(errno, verb.errno, None)
    return int(verb.errno.lstrip("E")) if number is None else int(number)


@covers(ROW + "4")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EACCES])
def test_errno_of_the_default_action(bundle: Bundle, report: Reader, number: int) -> None:
    """defaultErrnoRet is what a call that no entry is about returns (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_the_rest(bundle, "SCMP_ACT_ERRNO", defaultErrnoRet=number)
    assert outcome(report(bundle.probe(f"syscall {CALL} {ARGUMENTS}")).verbs[0]) == number


@covers(ROW + "6")
def test_default_errno_is_eperm(bundle: Bundle, report: Reader) -> None:
    """Without defaultErrnoRet it is EPERM (config-linux.md#seccomp)."""
    allow_the_rest(bundle, "SCMP_ACT_ERRNO")
    assert report(bundle.probe(f"syscall {CALL} {ARGUMENTS}")).verbs[0].errno == "EPERM"


@covers(ROW + "39")
def test_errno_is_eperm(bundle: Bundle, report: Reader) -> None:
    """Without errnoRet it is EPERM, whatever the default action's errno (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_the_rest(bundle, "SCMP_ACT_ERRNO", rule("SCMP_ACT_ERRNO", "getcpu"), defaultErrnoRet=errno.ENOTTY)
    bundle.linux["seccomp"]["syscalls"][1]["names"].remove("getcpu")
    found = report(bundle.probe(f"syscall getcpu null null null -- syscall {CALL} {ARGUMENTS}"))
    assert [verb.errno for verb in found.verbs] == ["EPERM", "ENOTTY"]


@covers(ROW + "33")
@pytest.mark.parametrize(
    ("number", "data"),
    [
        pytest.param(None, errno.EPERM, marks=covers(ROW + "39"), id="without errnoRet"),
        pytest.param(77, 77, marks=covers(ROW + "37"), id="with errnoRet"),
    ],
)
def test_tracer_gets_the_errno(bundle: Bundle, report: Reader, number: int | None, data: int) -> None:
    """SCMP_ACT_TRACE tells the tracer, with errnoRet as data (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0" if number else "1.0.2"
    allow_all(bundle, rule("SCMP_ACT_TRACE", **({"errnoRet": number} if number else {})))
    found = report(bundle.probe(f"syscall-trace {CALL} {ARGUMENTS}"))
    assert found.verbs[0].value == {"event": True, "data": data}


@covers(ROW + "38")
@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"])
def test_errno_without_use_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, action: str
) -> None:
    """errnoRet beside an action that takes none is refused (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    rejected(
        runtime, allow_all(bundle, rule(action, errnoRet=1)), by="start", control=allow_all(make_bundle(), rule(action))
    )


@covers(ROW + "5")
@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"])
def test_default_errno_without_use_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, action: str
) -> None:
    """defaultErrnoRet beside an action that takes none is refused (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    rejected(
        runtime,
        allow_the_rest(bundle, action, defaultErrnoRet=1),
        by="start",
        control=allow_the_rest(make_bundle(), action),
    )


# -- what may be left out, and what not --------------------------------------------------------------------------------


@covers(ROW + "1")
def test_no_filter_by_default(runtime: Runtime, default_report: Report) -> None:
    """Without linux.seccomp the process is under no filter but the runtime's caller's (config-linux.md#seccomp)."""
    with open("/proc/self/status", encoding="ascii") as file:
        own = dict(line.split(":", 1) for line in file.read().splitlines())
    mask = 1 if runtime.masks else 0  # the filter of the run's masks
    assert default_report["seccomp"]["mode"] == (2 if mask else int(own["Seccomp"]))
    assert default_report["seccomp"]["filters"] == int(own.get("Seccomp_filters", 0)) + mask


@covers(ROW + "24")
def test_syscalls_may_be_left_out(bundle: Bundle, report: Reader) -> None:
    """Without syscalls the default action is for all: with ALLOW the program runs (config-linux.md#seccomp)."""
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    assert report(bundle)["pid"] == 1


@covers(ROW + "24")
def test_without_syscalls_all_are_killed(runtime: Runtime, bundle: Bundle) -> None:
    """Without syscalls and with KILL the program does not live (config-linux.md#seccomp)."""
    runtime.prove_sane()
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_KILL"}
    result = runtime.run(bundle.probe("print alive", report=False), check=False, timeout=patience(2))
    assert result.status != 0
    assert "alive" not in result.stdout


@covers(ROW + "2")
@pytest.mark.parametrize(
    "syscalls", [[rule("SCMP_ACT_ERRNO")], [], None], ids=["with an entry", "without entries", "empty object"]
)
def test_default_action_is_required(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, syscalls: list[Any] | None
) -> None:
    """A filter without default action is refused (config-linux.md#seccomp)."""
    bundle.linux["seccomp"] = {} if syscalls is None else {"syscalls": syscalls}
    rejected(runtime, bundle, by="start", control=allow_all(make_bundle()))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"action": "SCMP_ACT_ERRNO"}, marks=covers(ROW + "25"), id="no names"),
        pytest.param({"names": [], "action": "SCMP_ACT_ERRNO"}, marks=covers(ROW + "26"), id="empty names"),
        pytest.param({"names": [CALL]}, marks=covers(ROW + "27"), id="no action"),
        pytest.param({"names": [CALL], "action": ""}, marks=covers(ROW + "27"), id="empty action"),
        pytest.param({"names": [CALL], "action": "SCMP_ACT_NOSUCH"}, marks=covers(ROW + "3"), id="unknown action"),
        pytest.param({"names": [CALL], "action": "ERRNO"}, marks=covers(ROW + "3"), id="action without prefix"),
    ],
)
def test_bad_entry_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, entry: dict[str, Any]
) -> None:
    """An entry needs names, at least one, and a known action (config-linux.md#seccomp)."""
    rejected(runtime, allow_all(bundle, entry), by="start", control=allow_all(make_bundle(), rule("SCMP_ACT_ERRNO")))


@covers(ROW + "3")
@pytest.mark.parametrize("action", ["SCMP_ACT_NOSUCH", "scmp_act_allow", "ALLOW"])
def test_unknown_default_action_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, action: str
) -> None:
    """An unknown default action is refused (config-linux.md#seccomp)."""
    bundle.linux["seccomp"] = {"defaultAction": action}
    rejected(runtime, bundle, by="start", control=allow_all(make_bundle()))


# -- the listener, without SCMP_ACT_NOTIFY -----------------------------------------------------------------------------


@covers(ROW + "20")
def test_listener_is_ignored_without_notify(bundle: Bundle, report: Reader) -> None:
    """listenerPath means nothing where no action is SCMP_ACT_NOTIFY (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), listenerPath=os.path.join(bundle.path, "no", "socket"))
    assert report(bundle.probe(f"syscall {CALL} {ARGUMENTS}")).verbs[0].errno == "EPERM"


@covers(ROW + "23")
def test_metadata_needs_a_listener(runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected) -> None:
    """listenerMetadata without listenerPath is refused (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), listenerMetadata="x")
    rejected(runtime, bundle, by="start", control=allow_all(make_bundle(), rule("SCMP_ACT_ERRNO")))
