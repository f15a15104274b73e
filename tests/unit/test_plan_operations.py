"""Operations, their bytes and their words."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.native.operations import HEADER_BYTES, OPERATIONS
from seatrial.runtime.plan import operation as constructors
from seatrial.runtime.plan.decode import DecodeError, decode
from seatrial.runtime.plan.encode import EncodeError, encode
from seatrial.runtime.plan.operation import Operation
from seatrial.runtime.plan.plan import Plan

_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_VALUES = {
    "u32": st.integers(0, 2**32 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "str": _text,
    "bytes": st.binary(max_size=40),
    "strs": st.lists(_text, max_size=4),
    "u32s": st.lists(st.integers(0, 2**32 - 1), max_size=4),
}


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    name, _, arguments, _ = draw(st.sampled_from(OPERATIONS))
    return Operation(name, *[draw(_VALUES[argument.partition(":")[2]]) for argument in arguments])


@pytest.mark.parametrize(("name", "arguments"), [(name, arguments) for name, _, arguments, _ in OPERATIONS])
def test_constructor_follows_the_table(name: str, arguments: tuple[str, ...]) -> None:
    parameters = inspect.signature(getattr(constructors, name)).parameters
    # `raise` is a keyword of Python.
    assert [name.replace("raised", "raise") for name in parameters] == [a.partition(":")[0] for a in arguments]
    kinds = {"u32": "int", "u64": "int", "i64": "int", "str": "str", "bytes": "bytes"}
    kinds |= {"strs": "Sequence[str]", "u32s": "Sequence[int]"}
    assert [p.annotation for p in parameters.values()] == [kinds[a.partition(":")[2]] for a in arguments]
    sample = {"u32": 1, "u64": 2, "i64": -3, "str": "x", "bytes": b"y", "strs": ["z"], "u32s": [4]}
    values = [sample[a.partition(":")[2]] for a in arguments]
    assert getattr(constructors, name)(*values) == Operation(name, *values)


@given(st.lists(operations(), max_size=8))
def test_decoding_gives_back_what_was_encoded(plan: list[Operation]) -> None:
    assert decode(encode(plan)) == plan


@given(operations())
def test_every_operation_has_one_line_of_words(operation: Operation) -> None:
    line = operation.describe()
    assert line.startswith(operation.title())
    assert operation.title().strip()


@given(st.lists(operations(), min_size=1, max_size=4), st.data())
def test_truncated_plan_is_refused(plan: list[Operation], data: st.DataObject) -> None:
    whole = encode(plan)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DecodeError):
        decode(whole[:length])
    # The same with a header that agrees with the shorter length.
    if length >= HEADER_BYTES:
        with pytest.raises(DecodeError):
            decode(whole[:12] + length.to_bytes(4, "little") + whole[HEADER_BYTES:length])


def test_bytes_are_those_of_the_table() -> None:
    plan = encode([Operation("setns", 5, 0x20000), Operation("umask", 0o22), Operation("find", "sh")])
    assert plan.hex(" ", -4) == (
        "5354504c 01000000 03000000 3b000000"  # STPL, version, 3 operations, 59 bytes
        " 02000000 08000000 05000000 00000200"
        " 32000000 04000000 12000000"
        " 43000000 07000000 02000000 736800"
    )


@pytest.mark.parametrize(
    ("operation", "complaint"),
    [
        (Operation("umask", -1), "umask"),
        (Operation("umask", 2**32), "umask"),
        (Operation("hostname", "a\0b"), "NUL"),
        (Operation("hostname", "\ud800"), "hostname"),
        (Operation("hostname", b"bytes"), "hostname"),
        (Operation("exec", ["sh", "a\0b"]), "NUL"),
        (Operation("umask"), "0 arguments, not 1"),
        (Operation("no_such_operation"), "no_such_operation"),
    ],
)
def test_value_that_does_not_fit_is_an_error(operation: Operation, complaint: str) -> None:
    with pytest.raises(EncodeError, match=complaint) as caught:
        encode([Operation("setsid"), operation])
    assert "operation 2" in str(caught.value)


def test_path_that_is_not_utf8_keeps_its_bytes() -> None:
    assert b"\x02\0\0\0\xff/\0" in encode([Operation("find", "\udcff/")])


def test_replace_changes_one_argument() -> None:
    operation = constructors.mount("proc", "/proc", "proc", 8)
    assert operation.replace(flags=0) == constructors.mount("proc", "/proc", "proc")
    assert operation.values[3] == 8
    with pytest.raises(TypeError, match="no argument colour"):
        operation.replace(colour=1)


def test_repr_names_the_arguments() -> None:
    assert repr(constructors.identity(1, 2)) == "identity(uid=1, gid=2)"


def test_failure_names_the_operation_and_its_place() -> None:
    plan = Plan([constructors.setsid(), constructors.mount("proc", "/proc", "proc", 8)])
    assert plan.failure(1, 1) == "mount proc on /proc: EPERM (operation 2 of 2)"
    assert plan.failure(1, 0, "not a directory") == "mount proc on /proc: not a directory (operation 2 of 2)"
    assert plan.failure(0, 22, "why") == "start a session: EINVAL: why (operation 1 of 2)"
    hook = Plan([constructors.hook("createContainer", "/h", [], [], 0, b"", b"")])
    assert hook.failure(0, 125, "hook /h ended with status 1") == (
        "run createContainer hook /h: ended with status 1 (operation 1 of 1)"
    )
    assert hook.failure(0, 2, "hook /h cannot be executed") == (
        "run createContainer hook /h: ENOENT: cannot be executed (operation 1 of 1)"
    )
    assert plan.failure(0xFFFFFFFF, 22, "magic") == "the executor refused the plan: EINVAL: magic"


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (constructors.mount("proc", "/proc", "proc", 0xA), "mount proc on /proc (type proc, nosuid,noexec)"),
        (constructors.mount("x", "/y", "", 0), "mount x on /y (type )"),
        (constructors.mknod("/dev/kvm", 0o20660, 10 << 8 | 232, 0, 36),
         "create character device /dev/kvm (10:232, mode 0660, owner 0:36)"),
        (constructors.mknod("/dev/b", 0o60600, os.makedev(0xABC, 0x54321)),
         "create block device /dev/b (2748:344865, mode 0600, owner 0:0)"),
        (constructors.mknod("/run/f", 0o10644, 0, 1, 2), "create fifo /run/f (mode 0644, owner 1:2)"),
        (constructors.mount_attr("/m", 1, 0x70), "set mount attributes of /m (set ro, clear atime, recursive)"),
        (constructors.remount("/m", 0, 1), "remount /m (no flags, clear ro)"),
        (constructors.setns(9, 0x40000000), "join the net namespace (fd 9)"),
        (constructors.clone(0), "clone into a new process (new namespaces: none)"),
        (constructors.capset(1, 1 << 21 | 1, 1 << 63),
         "set capabilities (effective CHOWN; permitted CHOWN SYS_ADMIN; inheritable 63)"),
        (constructors.rlimit(7, 1, 2**64 - 1), "set RLIMIT_NOFILE (soft 1, hard unlimited)"),
        (constructors.io_priority(2 << 13 | 4), "set I/O priority (class 2, priority 4)"),
        (constructors.memory_policy(0x8002, [0, 7]), "set memory policy MPOL_BIND|MPOL_F_STATIC_NODES (nodes 0 7)"),
        (constructors.memory_policy(4, []), "set memory policy MPOL_LOCAL"),
        (constructors.memory_policy(9, []), "set memory policy 9"),
        (constructors.exec(["/bin/sh", "-c", "a b", ""]), "execute /bin/sh (/bin/sh -c 'a b' '')"),
        (constructors.hook("createContainer", "/h", ["h"], [], 5, b"", b""),
         "run createContainer hook /h (h, timeout 5 s)"),
    ],
)  # fmt: skip
def test_words(operation: Operation, text: str) -> None:
    assert operation.describe() == text


def test_json_form_has_names_and_words() -> None:
    plan = Plan([constructors.seccomp(b"\x06\0\0\0\0\0\xff\x7f"), constructors.groups([1])])
    assert plan.to_json() == [
        {
            "name": "seccomp",
            "arguments": {"filter": "060000000000ff7f", "flags": 0, "notify": 0},
            "description": "load the seccomp filter (1 instructions, flags 0x0)",
        },
        {"name": "groups", "arguments": {"gids": [1]}, "description": "set supplementary groups (1)"},
    ]


def test_compiler_imports_nothing_slow() -> None:
    program = "import sys; a = set(sys.modules); import seatrial.runtime.plan.compile; print(*set(sys.modules) - a)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    foreign = {name for name in loaded if name.partition(".")[0] != "seatrial"}
    assert foreign <= {"__future__", "struct", "_struct", "errno"}
    assert "seatrial.runtime.plan.description" not in loaded
    assert not any(name.startswith("seatrial.runtime.seccomp.") for name in loaded)
