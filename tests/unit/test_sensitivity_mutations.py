"""The mutations of plans, answers and files: each changes something, and nothing is left out by accident."""

from __future__ import annotations

import json
import re

import pytest

from seatrial.conformance.sensitivity import answers, files, plans
from seatrial.conformance.sensitivity.order import EFFECTS, commute
from seatrial.conformance.sensitivity.parameters import ARGUMENTS, KEYS, LAST_CAPABILITY, meaning, weaker
from seatrial.native.operations import OPERATIONS

ALL = (1 << LAST_CAPABILITY + 1) - 1
PLAN: list[plans.Operation] = [
    ("clone", (0x6C020000,)),
    ("mount", ("proc", "/proc", "proc", 0xE, "hidepid=2", 1)),
    ("mount", ("tmpfs", "/dev", "tmpfs", 0x1000002, "mode=755", 0)),
    ("mknod", ("/dev/null", 0o20666, 259, 0, 0)),
    ("pivot_root", ()),
    ("rlimit", (7, 1024, 2048)),
    ("groups", ([1, 2, 3],)),
    ("identity", (1000, 1000)),
    ("capset", (0x3, 0x3, 0)),
    ("seccomp", (bytes(16), 0, 0)),
    ("exec", (["/bin/true", "a", "b"],)),
]


def split(name: str) -> tuple[str, str]:
    """(what, rule) of plan/KIND/WHAT/RULE."""
    what, _, rule = name.split("/", 2)[2].rpartition("/")
    return what, rule


def test_every_argument_has_a_meaning() -> None:
    for name, _, arguments, _ in OPERATIONS:
        for argument in arguments:
            assert meaning(name, argument.partition(":")[0])


def test_every_operation_has_effects_and_keys_name_arguments() -> None:
    assert set(EFFECTS) == {name for name, *_ in OPERATIONS}
    for name, argument in KEYS.items():
        assert argument in [found for found, _ in ARGUMENTS[name]]


def test_each_name_changes_the_plan_and_only_as_it_says() -> None:
    names = plans.names("init", PLAN)
    assert {split(name)[0].partition(".")[0] for name in names if split(name)[1] == "dropped"} >= {
        operation for operation, _ in PLAN
    }
    for name in names:
        what, rule = split(name)
        changed = plans.mutate(what, rule, PLAN)
        assert changed != PLAN, name
        touched = what.partition("[")[0].partition(".")[0]
        if rule != "swapped":
            assert [entry for entry in changed if entry[0] != touched] == [e for e in PLAN if e[0] != touched], name


def test_a_mutation_of_another_plan_changes_nothing() -> None:
    assert plans.mutate("sysctl", "dropped", PLAN) == PLAN
    assert plans.mutate("mount.flags", "without 0x400000", PLAN) == PLAN
    assert plans.mutate("exec, clone", "swapped", PLAN) == PLAN


def test_one_instance_can_be_dropped() -> None:
    changed = plans.mutate("mount[/dev]", "dropped", PLAN)
    assert [values[1] for name, values in changed if name == "mount"] == ["/proc"]


@pytest.mark.parametrize(
    ("operation", "argument", "wire", "value", "expected"),
    [
        ("mount", "flags", "u64", 0b1010, {"without 0x2": 8, "without 0x8": 2}),
        ("mknod", "mode", "u32", 0o20666, {"0777": 0o20777, "0000": 0o20000}),
        ("identity", "uid", "u32", 1000, {"0": 0, "plus 1": 1001}),
        ("identity", "uid", "u32", 0, {"plus 1": 1}),
        ("chdir", "target", "str", "/srv", {"emptied": "", "root": "/"}),
        ("rlimit", "soft", "u64", 1024, {"0": 0, "plus 1": 1025, "maximum": (1 << 64) - 1}),
        ("rlimit", "soft", "u64", (1 << 64) - 1, {"0": 0, "plus 1": (1 << 64) - 2}),
        ("groups", "gids", "u32s", [1, 2], {"emptied": [], "first only": [1]}),
        ("groups", "gids", "u32s", [1], {"emptied": []}),
        ("bind", "recursive", "u32", 1, {"flipped": 0}),
        ("capset", "effective", "u64", 0b101, {"emptied": 0, "all": ALL, "one fewer": 4, "one more": 7}),
        ("seccomp", "filter", "bytes", b"", {"allows all": b"\x06\x00\x00\x00\x00\x00\xff\x7f"}),
    ],
)  # fmt: skip
def test_rules(operation: str, argument: str, wire: str, value: object, expected: dict[str, object]) -> None:
    assert weaker(operation, argument, wire, value) == expected


def test_what_does_not_depend_on_one_another_is_not_swapped() -> None:
    assert commute("hostname", "domainname")
    assert not commute("mount", "pivot_root")
    assert not any(name.endswith("swapped") for name in plans.names("init", [("hostname", ("a",)), ("setsid", ())]))
    apart = [("mask", ("/proc/kcore",)), ("readonly", ("/proc/sys",))]
    nested = [("mask", ("/proc/sys/kernel",)), ("readonly", ("/proc/sys",))]
    assert "plan/init/mask, readonly/swapped" not in plans.names("init", apart)
    assert "plan/init/mask, readonly/swapped" in plans.names("init", nested)
    assert plans.mutate("mask, readonly", "swapped", apart) == apart
    assert plans.mutate("mask, readonly", "swapped", nested) == nested[::-1]


STATE = {"id": "c1", "pid": 7, "annotations": {"a.b": "c"}, "nested": {"on": True, "list": [1]}}


def test_each_member_of_an_answer_can_be_missing_or_false() -> None:
    text = json.dumps(STATE)
    names = answers.names("state", text)
    assert {name.split("/")[2] for name in names} == {
        "output", "id", "pid", "annotations", "nested", "nested.on", "nested.list",
    }  # fmt: skip
    for name in names:
        _, _, what, rule = name.split("/")
        changed = answers.mutate(what, rule, text)
        assert changed != text, name
        if rule == "missing":
            assert f'"{what.split(".")[-1]}"' not in changed
    assert json.loads(answers.mutate("pid", "false", text))["pid"] == 8
    assert json.loads(answers.mutate("nested.on", "false", text))["nested"]["on"] is False
    assert json.loads(answers.mutate("annotations", "false", text))["annotations"] == {"a.b": "cx"}


def test_answers_that_are_no_objects() -> None:
    assert answers.names("ps", "[1, 2]\n") == {"answer/ps/output/empty", "answer/ps/output/false"}
    assert answers.mutate("output", "false", "[1, 2]") == "[2, 3]\n"
    assert answers.names("list", "ID  PID\nc1  7\n") == {
        "answer/list/output/empty",
        "answer/list/output/one line fewer",
    }
    assert answers.mutate("output", "one line fewer", "ID  PID\nc1  7\n") == "ID  PID\n"
    assert answers.names("delete", "") == set()
    assert json.loads(answers.mutate("pid", "missing", '[{"id": "a", "pid": 1}, {"id": "b"}]')) == [
        {"id": "a"},
        {"id": "b"},
    ]


def test_exit_statuses() -> None:
    assert answers.status_names("kill", 0) == {"status/kill/success/1"}
    assert answers.status_names("kill", 1) == {"status/kill/failure/0"}
    assert answers.status_names("run", 3) == {"status/run/failure/0", "status/run/failure/plus 1"}
    assert [answers.mutate_status("success", "1", status) for status in (0, 3)] == [1, 3]
    assert [answers.mutate_status("failure", "plus 1", status) for status in (0, 3)] == [0, 4]


def test_files() -> None:
    assert files.names("/sys/fs/cgroup/x/cpu.max", "max 100000") == {"file/cpu.max/doubled", "file/cpu.max/not written"}
    assert files.names("/sys/fs/cgroup/x/freezer.state", "FROZEN") == {"file/freezer.state/not written"}
    assert files.doubled("c 1:3 rwm") == "c 2:6 rwm"


def test_names_have_nothing_that_the_command_line_of_a_mutant_cannot_carry() -> None:
    for name in plans.names("init", PLAN) | answers.names("state", json.dumps(STATE)):
        assert re.fullmatch(r"[^;\n\0]+", name)
