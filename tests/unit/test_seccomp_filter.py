"""Seccomp profiles: the generated program is run for calls and compared with what the profile says."""

from __future__ import annotations

import errno
import platform
import struct
import subprocess
import sys
from typing import Any

import pytest
from cbpf import AARCH64, ALLOW, I386, KILL_PROCESS, KILL_THREAD, X86_64, errno_action, run
from plan_configs import compiled, config, names

from seatrial.runtime.config import Seccomp, SeccompArgument, SeccompRule
from seatrial.runtime.errors import ConfigError, SeatrialError
from seatrial.runtime.seccomp.enosys import ARCH_X32, stub
from seatrial.runtime.seccomp.filter import compile_filter
from seatrial.runtime.seccomp.libseccomp import Library

try:
    Library()
except SeatrialError as reason:
    pytest.skip(str(reason), allow_module_level=True)
if platform.machine() != "x86_64":
    pytest.skip("the numbers here are those of x86-64", allow_module_level=True)

READ, WRITE, CLONE, GETPID, UNAME, SOCKET, PERSONALITY, CLOSE_RANGE = 0, 1, 56, 39, 63, 41, 135, 436
EPERM, ENOSYS = errno_action(errno.EPERM), errno_action(errno.ENOSYS)


def rule(action: str, *names: str, args: tuple[SeccompArgument, ...] = (), errno: int | None = None) -> SeccompRule:
    return SeccompRule(names=list(names), action=f"SCMP_ACT_{action}", errno=errno, args=list(args))


def arg(index: int, op: str, value: int, value_two: int = 0) -> SeccompArgument:
    return SeccompArgument(index=index, op=f"SCMP_CMP_{op}", value=value, value_two=value_two)


def program(default: str, *rules: SeccompRule, **fields: Any) -> bytes:
    return compile_filter(Seccomp(default_action=f"SCMP_ACT_{default}", syscalls=list(rules), **fields)).filter


def test_listed_calls_are_allowed_and_others_refused() -> None:
    filter = program("ERRNO", rule("ALLOW", "read", "close_range"))
    assert run(filter, READ) == ALLOW
    assert run(filter, CLOSE_RANGE) == ALLOW
    assert run(filter, GETPID) == EPERM


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("KILL", KILL_THREAD),
        ("KILL_THREAD", KILL_THREAD),
        ("KILL_PROCESS", KILL_PROCESS),
        ("TRAP", 0x00030000),
        ("ERRNO", EPERM),
        ("TRACE", 0x7FF00001),
        ("LOG", 0x7FFC0000),
    ],
)
def test_actions(action: str, value: int) -> None:
    filter = program("ALLOW", rule(action, "getpid"))
    assert run(filter, GETPID) == value
    assert run(filter, READ) == ALLOW


def test_default_action_with_its_errno() -> None:
    filter = program("ERRNO", rule("ALLOW", "read", "close_range"), default_errno=errno.EACCES)
    assert run(filter, GETPID) == errno_action(errno.EACCES)


def test_errno_of_a_rule() -> None:
    filter = program("ALLOW", rule("ERRNO", "getpid", errno=errno.EXDEV), rule("TRACE", "uname", errno=7))
    assert run(filter, GETPID) == errno_action(errno.EXDEV)
    assert run(filter, UNAME) == 0x7FF00007


def test_errno_zero_is_not_the_default() -> None:
    assert run(program("ALLOW", rule("ERRNO", "getpid", errno=0)), GETPID) == errno_action(0)


def test_errno_of_an_action_that_has_none_is_ignored() -> None:
    assert run(program("ALLOW", rule("KILL_PROCESS", "getpid", errno=5)), GETPID) == KILL_PROCESS


@pytest.mark.parametrize(
    ("condition", "matching", "others"),
    [
        (arg(0, "EQ", 5), [5], [4, 6, 2**32 + 5]),
        (arg(0, "NE", 5), [4, 6, 2**32 + 5], [5]),
        (arg(0, "LT", 5), [0, 4], [5, 6, 2**32]),
        (arg(0, "LE", 5), [4, 5], [6, 2**40]),
        (arg(0, "GT", 5), [6, 2**32], [5, 0]),
        (arg(0, "GE", 5), [5, 6, 2**32], [4]),
        (arg(0, "EQ", 2**63 + 1), [2**63 + 1], [1, 2**63]),
        (arg(0, "MASKED_EQ", 0xF0, 0x20), [0x20, 0x2F, 0x12F], [0x30, 0x0F]),
        (arg(0, "MASKED_EQ", 0x7E020000, 0), [0, 0x11], [0x10000000, 0x20000]),
    ],
    ids=lambda value: getattr(value, "op", None),
)
def test_operators(condition: SeccompArgument, matching: list[int], others: list[int]) -> None:
    filter = program("ERRNO", rule("ALLOW", "clone", args=(condition,)), rule("ALLOW", "close_range"))
    assert [run(filter, CLONE, value) for value in matching] == [ALLOW] * len(matching)
    assert [run(filter, CLONE, value) for value in others] == [EPERM] * len(others)


def test_conditions_on_different_arguments_must_all_hold() -> None:
    filter = program("ALLOW", rule("ERRNO", "socket", args=(arg(0, "EQ", 16), arg(2, "EQ", 9))))
    assert run(filter, SOCKET, 16, 3, 9) == EPERM
    assert run(filter, SOCKET, 16, 3, 8) == ALLOW
    assert run(filter, SOCKET, 15, 3, 9) == ALLOW


def test_conditions_on_one_argument_twice_are_alternatives() -> None:
    allowed = (arg(0, "EQ", 0), arg(0, "EQ", 8), arg(1, "EQ", 3))
    filter = program("ERRNO", rule("ALLOW", "personality", args=allowed), rule("ALLOW", "close_range"))
    assert run(filter, PERSONALITY, 0) == ALLOW
    assert run(filter, PERSONALITY, 8) == ALLOW
    assert run(filter, PERSONALITY, 1, 3) == ALLOW  # every condition of the rule became one of its own
    assert run(filter, PERSONALITY, 1) == EPERM


def test_condition_on_any_argument() -> None:
    for index in range(6):
        filter = program("ALLOW", rule("ERRNO", "clone", args=(arg(index, "EQ", 7),)))
        args = [0] * 6
        assert run(filter, CLONE, *args) == ALLOW
        args[index] = 7
        assert run(filter, CLONE, *args) == EPERM


def test_rules_that_say_what_the_default_says_are_no_error() -> None:
    filter = program("ERRNO", rule("ERRNO", "getpid"), rule("ERRNO", "uname", errno=5), rule("ALLOW", "close_range"))
    assert run(filter, GETPID) == EPERM
    assert run(filter, UNAME) == errno_action(5)


def test_same_rule_twice_is_no_error() -> None:
    filter = program("ALLOW", rule("ERRNO", "getpid", "getpid"), rule("ERRNO", "getpid"))
    assert run(filter, GETPID) == EPERM


def test_unknown_call_is_skipped() -> None:
    filter = program("ALLOW", rule("ERRNO", "no_such_call_at_all", "getpid"))
    assert run(filter, GETPID) == EPERM


def test_many_calls_still_answer_right() -> None:
    allowed = "read write open close stat fstat lstat poll lseek mmap mprotect munmap brk ioctl pipe select".split()
    allowed += "msync mincore madvise shmget shmat shmctl dup dup2 pause getpid sendfile socket connect accept".split()
    allowed += "sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname close_range".split()
    filter = program("ERRNO", rule("ALLOW", *allowed))
    answers = [run(filter, number) for number in range(437)]
    library = Library()
    numbers = {library.syscall(name) for name in allowed}
    assert answers == [ALLOW if number in numbers else EPERM for number in range(437)]


# -- architectures -----------------------------------------------------------------------------------------------------


def test_foreign_architecture_is_killed_unless_listed() -> None:
    one = rule("ALLOW", "getpid", "close_range")
    filter = program("ERRNO", one)
    assert run(filter, 20, arch=I386) == KILL_THREAD
    both = program("ERRNO", one, architectures=["SCMP_ARCH_X86"])
    assert run(both, 20, arch=I386) == ALLOW  # getpid there
    assert run(both, GETPID, arch=I386) == EPERM
    assert run(both, GETPID, arch=X86_64) == ALLOW  # the native one is always in
    assert run(both, 172, arch=AARCH64) == KILL_THREAD


def test_call_of_a_foreign_architecture_only() -> None:
    filter = program("ALLOW", rule("ERRNO", "waitpid"), architectures=["SCMP_ARCH_X86"])
    assert run(filter, 7, arch=I386) == EPERM
    assert run(filter, 7, arch=X86_64) == ALLOW


# -- the ENOSYS stub ---------------------------------------------------------------------------------------------------


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    filter = program("ERRNO", rule("ALLOW", "read"), rule("ERRNO", "close_range"))
    assert run(filter, CLOSE_RANGE) == EPERM  # the largest one, though denied
    assert run(filter, CLOSE_RANGE - 1) == EPERM
    assert run(filter, CLOSE_RANGE + 1) == ENOSYS
    assert run(filter, 9999) == ENOSYS
    assert run(filter, READ) == ALLOW


@pytest.mark.parametrize("default", ["KILL", "KILL_PROCESS", "TRAP", "ERRNO"])
def test_stub_comes_before_defaults_that_refuse(default: str) -> None:
    assert run(program(default, rule("ALLOW", "close_range")), 9999) == ENOSYS


@pytest.mark.parametrize(("default", "value"), [("ALLOW", ALLOW), ("LOG", 0x7FFC0000), ("TRACE", 0x7FF00001)])
def test_no_stub_before_defaults_that_permit(default: str, value: int) -> None:
    assert run(program(default, rule("KILL", "close_range")), 9999) == value


def test_profile_without_calls_has_no_stub() -> None:
    assert run(program("ERRNO"), 9999) == EPERM


def test_stub_knows_each_architectures_numbers() -> None:
    filter = program("ERRNO", rule("ALLOW", "read"), architectures=["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    assert run(filter, 0) == ALLOW
    assert run(filter, 1) == ENOSYS
    assert run(filter, 3, arch=I386) == ALLOW
    assert run(filter, 2, arch=I386) == EPERM
    assert run(filter, 4, arch=I386) == ENOSYS
    assert run(filter, 0x40000000) == ALLOW
    assert run(filter, 0x40000001) == ENOSYS


def test_stub_leaves_the_other_abi_of_x86_64_to_the_filter() -> None:
    marker = struct.pack("<HBBI", 6, 0, 0, 0x1234)
    only_64 = stub({X86_64: 100}) + marker
    assert run(only_64, 101) == ENOSYS
    assert run(only_64, 100) == 0x1234
    assert run(only_64, 0x40000000 + 101) == 0x1234
    only_x32 = stub({ARCH_X32: 0x40000000 + 100}) + marker
    assert run(only_x32, 101) == 0x1234
    assert run(only_x32, 0x40000000 + 101) == ENOSYS
    both = stub({X86_64: 100, ARCH_X32: 0x40000000 + 7}) + marker
    assert [run(both, n) for n in (100, 101, 0x40000007, 0x40000008)] == [0x1234, ENOSYS, 0x1234, ENOSYS]


def test_stub_for_every_architecture_at_once() -> None:
    largest = {0x80000000 + n: n for n in range(40)}
    filter = stub(largest) + struct.pack("<HBBI", 6, 0, 0, 0x1234)
    for arch, number in largest.items():
        assert run(filter, number, arch=arch) == 0x1234
        assert run(filter, number + 1, arch=arch) == ENOSYS
    assert run(filter, 9999, arch=0x77) == 0x1234


def test_stub_hides_the_multiplexer_of_s390() -> None:
    filter = stub({0x80000016: 400}) + struct.pack("<HBBI", 6, 0, 0, 0x1234)
    assert [run(filter, n, arch=0x80000016) for n in (0, 1, 400, 401)] == [ENOSYS, 0x1234, 0x1234, ENOSYS]


# -- flags and errors --------------------------------------------------------------------------------------------------


class OldLibrary(Library):
    """A library of the given API level."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def api_level(self) -> int:
        return self.level


@pytest.mark.parametrize(
    ("names", "known", "flags"),
    [
        (None, 0x2F, 4),
        (None, 0x03, 0),
        ([], 0x2F, 0),
        (["LOG"], 0x03, 2),
        (["LOG", "SPEC_ALLOW"], 0x07, 6),
        (["TSYNC"], 0x01, 0),
        (["WAIT_KILLABLE_RECV"], 0x2F, 0),  # about a listener that this profile does not have
    ],
)
def test_flags(names: list[str] | None, known: int, flags: int) -> None:
    given = None if names is None else [f"SECCOMP_FILTER_FLAG_{name}" for name in names]
    profile = Seccomp(default_action="SCMP_ACT_ALLOW", flags=given)
    assert compile_filter(profile, known_flags=known).flags == flags


def test_notify_asks_for_a_listener() -> None:
    profile = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[rule("NOTIFY", "getpid")],
        flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        listener_path="/run/agent",
    )
    compiled = compile_filter(profile, known_flags=0x2F)
    assert run(compiled.filter, GETPID) == 0x7FC00000
    assert run(compiled.filter, READ) == ALLOW
    assert (compiled.flags, compiled.notify) == (0x20, True)
    assert compile_filter(PROFILE).notify is False


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"flags": ["SECCOMP_FILTER_FLAG_LOG"]}, "linux.seccomp.flags[0]"),  # the kernel is too old
        ({"syscalls": [rule("NOTIFY", "read")]}, "linux.seccomp.syscalls[0].action"),
        ({"flags": ["SECCOMP_FILTER_FLAG_X"]}, "linux.seccomp.flags[0]"),
        ({"flags": ["SECCOMP_FILTER_FLAG_TSYNC", "log"]}, "linux.seccomp.flags[1]"),
        ({"default_action": ""}, "linux.seccomp.defaultAction"),
        ({"default_action": "SCMP_ACT_NOPE"}, "linux.seccomp.defaultAction"),
        ({"architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_Z80"]}, "linux.seccomp.architectures[1]"),
        ({"architectures": ["x86"]}, "linux.seccomp.architectures[0]"),
        ({"syscalls": [rule("ALLOW", "read"), rule("NOPE", "read")]}, "linux.seccomp.syscalls[1].action"),
        ({"syscalls": [rule("LOG", "read", args=(arg(0, "XX", 1),))]}, "linux.seccomp.syscalls[0].args[0].op"),
    ],
)
def test_wrong_profile_names_its_place(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_filter(Seccomp(**{"default_action": "SCMP_ACT_ALLOW"} | fields), known_flags=0x01)
    assert caught.value.path == path


def test_too_long_a_program_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # libseccomp itself takes seconds to make a program of more than 4096 instructions.
    monkeypatch.setattr("seatrial.runtime.seccomp.filter._MAX_INSTRUCTIONS", 50)
    program("ALLOW", rule("ERRNO", "clone", args=tuple(arg(0, "EQ", value) for value in range(10))))
    with pytest.raises(ConfigError, match="the kernel takes 50"):
        program("ALLOW", rule("ERRNO", "clone", args=tuple(arg(0, "EQ", value) for value in range(100))))


def test_notify_needs_a_library_that_knows_it() -> None:
    profile = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule("NOTIFY", "mkdir")])
    with pytest.raises(ConfigError, match=r"libseccomp 2\.5"):
        compile_filter(profile, OldLibrary(4))


def test_missing_library_is_named_with_its_package() -> None:
    with pytest.raises(SeatrialError) as caught:
        Library("libseccomp-not-there.so.2")
    assert "libseccomp-not-there.so.2" in caught.value.message
    assert "libseccomp2" in caught.value.hint


# -- in a plan ---------------------------------------------------------------------------------------------------------

PROFILE = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule("ERRNO", "getpid")])


def test_filter_without_no_new_privs_is_loaded_while_that_is_allowed() -> None:
    order = names(compiled(config(seccomp=PROFILE)))
    assert order.index("chdir") < order.index("seccomp") < order.index("identity")
    assert order[order.index("seccomp") - 1 : order.index("seccomp") + 2] == ["groups", "seccomp", "identity"]


def test_filter_with_no_new_privs_is_loaded_last_before_the_start_signal() -> None:
    plan = compiled(config(seccomp=PROFILE, no_new_privileges=True), gate=4)
    order = names(plan)
    assert order[order.index("seccomp") - 1 : order.index("seccomp") + 2] == ["sync", "seccomp", "gate"]
    filter, flags, notify = plan.operations[order.index("seccomp")].values
    assert isinstance(filter, bytes)
    assert run(filter, GETPID) == EPERM
    assert (flags, notify) == (compile_filter(PROFILE).flags, 0)


def test_kernel_takes_the_program_and_acts_on_it() -> None:
    filter = program("ALLOW", rule("ERRNO", "uname", errno=errno.EDOM))
    code = f"""
import ctypes, os
code = ctypes.create_string_buffer({filter!r}, {len(filter)})
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
program = Program({len(filter) // 8}, ctypes.addressof(code))
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
try:
    os.uname()
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EDOM)]
