"""OCI seccomp profiles to cBPF, with the meaning that runc gives them.  runtime-spec config-linux.md "Seccomp"."""

from __future__ import annotations

import errno

from seatrial.native.seccomp import (
    FILTER_FLAG_LOG,
    FILTER_FLAG_NEW_LISTENER,
    FILTER_FLAG_SPEC_ALLOW,
    FILTER_FLAG_TSYNC,
    FILTER_FLAG_WAIT_KILLABLE_RECV,
    supported_flags,
)
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.seccomp.compiled import CompiledFilter
from seatrial.runtime.seccomp.enosys import stub
from seatrial.runtime.seccomp.libseccomp import COMPARE, Filter, Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Seccomp, SeccompArgument
    from seatrial.runtime.seccomp.libseccomp import Condition

# SECCOMP_RET_* of seccomp(2)
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_NOTIFY_LEVEL = 5  # of seccomp_api_get(3): libseccomp 2.5
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_PERMITTING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")  # as a default: needs no stub

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FILTER_FLAG_WAIT_KILLABLE_RECV,
}

_INSTRUCTION_BYTES = 8
_MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
_MANY_SYSCALLS = 32


def compile_filter(profile: Seccomp, library: Library | None = None, known_flags: int | None = None) -> CompiledFilter:
    """The program for a profile.  `known_flags`: what the kernel supports, if it is not to be asked.

    System calls that libseccomp does not know are skipped: they are newer than the library, and the stub answers them.
    Raises ConfigError with a JSON path for a name that this library or kernel cannot do, SeatrialError when libseccomp
    is missing or fails.
    """
    library = library or Library()
    notify = False
    default = _action(profile.default_action, profile.default_errno, "linux.seccomp.defaultAction")
    known_flags = supported_flags() if known_flags is None else known_flags
    flags = _flags(profile.flags, known_flags)
    arches = _arches(profile.architectures, library)
    names: dict[str, None] = {}
    with Filter(library, default) as filter:
        for arch in arches:
            filter.add_arch(arch)
        for index, rule in enumerate(profile.syscalls):
            path = f"linux.seccomp.syscalls[{index}]"
            action = _action(rule.action, rule.errno, f"{path}.action")
            if rule.action == "SCMP_ACT_NOTIFY":
                notify = True
                if library.api_level() < _NOTIFY_LEVEL or not known_flags & FILTER_FLAG_NEW_LISTENER:
                    raise ConfigError(f"{path}.action", f"{rule.action} needs libseccomp 2.5 and Linux 5.0")
            alternatives = _alternatives(rule.args, path)
            names.update(dict.fromkeys(rule.names))
            if action == default:
                continue
            for name in rule.names:
                number = library.syscall(name)
                if number is not None:
                    for conditions in alternatives:
                        filter.add_rule(action, number, conditions)
        if len(names) > _MANY_SYSCALLS:
            filter.optimize()
        program = filter.export()
    if profile.default_action not in _PERMITTING and default != ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS:
        program = stub(_largest(arches, list(names), library)) + program
    if len(program) > _MAX_INSTRUCTIONS * _INSTRUCTION_BYTES:
        count = len(program) // _INSTRUCTION_BYTES
        raise ConfigError("linux.seccomp", f"makes {count} instructions, the kernel takes {_MAX_INSTRUCTIONS}")
    if not notify:
        flags &= ~FILTER_FLAG_WAIT_KILLABLE_RECV  # seccomp(2): EINVAL without a listener
    return CompiledFilter(program, flags, notify)


def _action(name: str, number: int | None, path: str) -> int:
    action = ACTIONS.get(name)
    if action is None:
        raise ConfigError(path, f"unknown action {name!r}", f"one of {', '.join(ACTIONS)}")
    if name in _WITH_ERRNO:
        action |= (errno.EPERM if number is None else number) & 0xFFFF
    return action


def _flags(names: list[str] | None, known: int) -> int:
    if names is None:
        return FILTER_FLAG_SPEC_ALLOW & known
    flags = 0
    for index, name in enumerate(names):
        path = f"linux.seccomp.flags[{index}]"
        if name not in FLAGS:
            raise ConfigError(path, f"unknown flag {name!r}", f"one of {', '.join(FLAGS)}")
        if not FLAGS[name] & known:
            raise ConfigError(path, f"{name} is not supported by this kernel")
        flags |= FLAGS[name]
    return flags & ~FILTER_FLAG_TSYNC  # the loader has one thread


def _arches(names: list[str], library: Library) -> list[int]:
    arches = {library.native_arch(): None}
    for index, name in enumerate(names):
        token = library.arch(name) if name.startswith("SCMP_ARCH_") else 0
        if not token:
            raise ConfigError(f"linux.seccomp.architectures[{index}]", f"{name!r} is not known to libseccomp")
        arches[token] = None
    return list(arches)


def _alternatives(args: list[SeccompArgument], path: str) -> list[list[Condition]]:
    """The conditions of a rule: one list that must hold as a whole; or, where an argument occurs twice, one list each.

    libseccomp cannot AND two conditions on one argument, and engines have long written such rules to mean OR.
    """
    conditions: list[Condition] = []
    for index, arg in enumerate(args):
        if arg.op not in COMPARE:
            hint = f"one of {', '.join(COMPARE)}"
            raise ConfigError(f"{path}.args[{index}].op", f"unknown operator {arg.op!r}", hint)
        conditions.append((arg.index, COMPARE[arg.op], arg.value, arg.value_two))
    if len({arg.index for arg in args}) < len(args):
        return [[condition] for condition in conditions]
    return [conditions]


def _largest(arches: list[int], names: list[str], library: Library) -> dict[int, int]:
    """The largest number that the profile knows, by architecture; those on which it knows none are left out."""
    largest = {}
    for arch in arches:
        numbers = [number for name in names if (number := library.syscall_on(arch, name)) is not None]
        if numbers:
            largest[arch] = max(numbers)
    return largest
