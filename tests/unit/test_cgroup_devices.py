"""Device rules: their meaning, what v1 holds of them, and the program that v2 runs."""

from __future__ import annotations

import bpf_machine
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.runtime.cgroup.device_program import allows_everything, assemble, build, describe
from seatrial.runtime.cgroup.device_report import describe_devices, devices_json
from seatrial.runtime.cgroup.device_rules import DeviceState, decide, emulate
from seatrial.runtime.config import DeviceRule
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.errors import ConfigError


def rule(text: str) -> DeviceRule:
    """``allow c 1:* rw`` or ``deny a``."""
    verb, type, *rest = text.split()
    numbers, access = (rest or ["*:*", "rwm"])[0], rest[1] if len(rest) > 1 else "rwm"
    major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
    return DeviceRule(allow=verb == "allow", type=type, major=major, minor=minor, access=access)


def rules(*texts: str) -> list[DeviceRule]:
    return [rule(text) for text in texts]


def lines(*texts: str) -> list[str]:
    return emulate(rules(*texts)).lines()


MEANING = [
    # rules, access, allowed
    (["deny a"], "c 1:3 r", False),
    ([], "c 1:3 r", False),
    (["allow a"], "b 8:0 rwm", True),
    (["deny a", "allow c 1:3 r"], "c 1:3 r", True),
    (["deny a", "allow c 1:3 r"], "c 1:3 rw", False),
    (["deny a", "allow c 1:3 r", "allow c 1:3 w"], "c 1:3 rw", True),
    (["deny a", "allow c 1:* r", "allow c *:3 w"], "c 1:3 rw", True),
    (["allow c 1:11 r", "deny a"], "c 1:11 r", False),
    (["deny a", "allow c 1:* rwm"], "b 1:3 r", False),
    (["allow a", "deny c 1:7 w"], "c 1:7 w", False),
    (["allow a", "deny c 1:7 w"], "c 1:7 r", True),
    (["allow a", "deny c 1:7 w"], "c 1:7 rw", False),  # a test of the whole request against one rule lets this through
    (["allow a", "deny c 1:7 w"], "c 1:8 rwm", True),
    (["deny a", "allow c *:* rwm", "deny c 1:3 rwm"], "c 1:3 r", False),
    (["deny a", "allow c *:* rwm", "deny c 1:3 rwm"], "c 1:4 r", True),
    (["deny a", "allow c 1:3 rwm", "deny c *:* r"], "c 1:3 r", False),
    (["deny a", "allow a *:* r"], "b 8:0 r", True),
    (["deny a", "allow a *:* r"], "b 8:0 w", False),
    (["deny a", "allow a 1:3 rwm"], "c 1:3 rw", True),
    (["deny a", "allow a 1:3 rwm"], "c 1:4 r", False),
    (["deny a", "allow c 99999:1 rwm"], "c 1:1 r", False),
]


@pytest.mark.parametrize(("texts", "access", "allowed"), MEANING)
def test_meaning_of_rules(texts: list[str], access: str, allowed: bool) -> None:
    type, numbers, letters = access.split()
    major, minor = map(int, numbers.split(":"))
    assert decide(rules(*texts), type, major, minor, letters) is allowed
    assert bpf_machine.run(assemble(build(rules(*texts))), type, major, minor, letters) == allowed


NUMBERS = st.sampled_from([None, 0, 1, 3, 7, 255, 4095])
ACCESS = st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"])
RULES = st.lists(
    st.one_of(
        st.builds(
            lambda allow, type, major, minor, access: DeviceRule(
                allow=allow, type=type, major=major, minor=minor, access=access
            ),
            st.booleans(),
            st.sampled_from("abc"),
            NUMBERS,
            NUMBERS,
            ACCESS,
        ),
        st.builds(lambda allow: DeviceRule(allow=allow), st.booleans()),
    ),
    max_size=8,
)
ACCESSES = st.tuples(st.sampled_from("bc"), st.sampled_from([0, 1, 3, 9]), st.sampled_from([0, 1, 3, 7, 9]), ACCESS)


@given(RULES, st.lists(ACCESSES, min_size=1, max_size=12))
def test_program_does_what_the_rules_mean(
    given_rules: list[DeviceRule], accesses: list[tuple[str, int, int, str]]
) -> None:
    code = assemble(build(given_rules))
    for access in accesses:
        assert bpf_machine.run(code, *access) == decide(given_rules, *access)
    if allows_everything(given_rules):
        assert all(decide(given_rules, *access) for access in accesses)


def kernel_v1(state: DeviceState, type: str, major: int, minor: int, permission: str) -> bool:
    """What a v1 devices cgroup says to one permission (security/device_cgroup.c)."""
    excepted = any(
        permission in access and kind == type and at in (None, major) and node in (None, minor)
        for (kind, at, node), access in state.exceptions.items()
    )
    return excepted != state.allow_by_default


@given(RULES, st.lists(ACCESSES, min_size=1, max_size=12))
def test_v1_state_means_the_same_or_is_refused(
    given_rules: list[DeviceRule], accesses: list[tuple[str, int, int, str]]
) -> None:
    try:
        state = emulate(given_rules)
    except ConfigError:
        return
    for type, major, minor, letters in accesses:
        for permission in letters:
            if permission != "m":  # see the module: mknod alone may be left in a hole
                wanted = decide(given_rules, type, major, minor, permission)
                assert kernel_v1(state, type, major, minor, permission) is wanted


@given(RULES, RULES)
def test_transition_reaches_the_wanted_state(before: list[DeviceRule], after: list[DeviceRule]) -> None:
    try:
        have, wanted = emulate(before), emulate(after)
    except ConfigError:
        return
    # what devices.list shows of the state before
    seen = DeviceState.parse("\n".join(have.lines()))
    held = DeviceState(have.allow_by_default, {key: set(access) for key, access in have.exceptions.items()})
    for name, text in seen.transition(wanted):
        kernel_write(held, name == "devices.allow", text)
    assert held == wanted


def kernel_write(state: DeviceState, allow: bool, text: str) -> None:
    """devices.allow and devices.deny of the kernel: exact keys only."""
    if text == "a":
        state.allow_by_default = allow
        state.exceptions.clear()
        return
    type, numbers, access = text.split()
    major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
    held = state.exceptions.setdefault((type, major, minor), set())
    if allow != state.allow_by_default:
        held.update(access)
    else:
        held.difference_update(access)
    if not held:
        del state.exceptions[type, major, minor]


def test_v1_unites_permissions_of_one_device() -> None:
    assert lines("deny a", "allow c 1:3 r", "allow c 1:3 w", "deny c 1:3 r") == ["c 1:3 w"]


def test_v1_total_rule_clears_the_ones_before() -> None:
    assert lines("allow c 1:3 r", "deny a", "allow b 8:* rwm") == ["b 8:* rwm"]
    assert lines("deny c 1:3 rwm", "allow a") == ["a *:* rwm"]


def test_v1_wide_deny_takes_narrow_exceptions_along() -> None:
    assert lines("deny a", "allow c 1:3 rw", "allow c 2:3 rw", "deny c 1:* r") == ["c 1:3 w", "c 2:3 rw"]


def test_v1_refuses_a_hole_by_its_index() -> None:
    with pytest.raises(ConfigError) as failed:
        lines("deny a", "allow c 1:* rwm", "deny c 1:3 rw")
    assert failed.value.path == "linux.resources.devices[2]"
    assert "hole" in str(failed.value)


def test_v1_lets_the_hole_of_engines_through() -> None:
    assert "c *:* m" in lines("deny a", "allow c *:* m", "deny c 10:229 rwm")


def test_v1_keeps_a_running_container_supplied() -> None:
    have = emulate(complete_rules(rules("deny a"), set()))
    wanted = emulate(complete_rules(rules("deny a", "allow b 8:0 r"), set()))
    assert have.transition(wanted) == [("devices.allow", "b 8:0 r")]
    assert wanted.transition(have) == [("devices.deny", "b 8:0 r")]


def test_program_as_text() -> None:
    assert describe(build(rules("deny a", "allow c 1:* r"))) == [
        "0: r2 = *(u32 *)(r1 + 0)",
        "1: w2 &= 0xffff",
        "2: r3 = *(u32 *)(r1 + 0)",
        "3: w3 >>= 16",
        "4: r4 = *(u32 *)(r1 + 4)",
        "5: r5 = *(u32 *)(r1 + 8)",
        "6: if r2 != 2 goto 12",
        "7: if r4 != 1 goto 12",
        "8: w3 &= 0x5",
        "9: if r3 != 0 goto 12",
        "10: r0 = 1",
        "11: exit",
        "12: r0 = 0",
        "13: exit",
    ]
    assert describe(build(rules("allow a", "deny b 8:0 w")))[6:] == [
        "6: if r2 != 1 goto 13",
        "7: if r4 != 8 goto 13",
        "8: if r5 != 0 goto 13",
        "9: if r3 & 0x4 goto 11",
        "10: goto 13",
        "11: r0 = 0",
        "12: exit",
        "13: r0 = 1",
        "14: exit",
    ]


def test_no_program_where_everything_is_allowed() -> None:
    assert allows_everything(rules("deny a", "allow a", "allow c 1:3 r"))
    assert not allows_everything(rules("allow a", "deny c 1:3 w"))
    assert not allows_everything([])


def test_report_for_people_and_for_tools() -> None:
    given_rules = rules("deny a", "allow c 1:* r")
    text = describe_devices(given_rules)
    assert text.splitlines()[:5] == [
        "device rules, the last one about a permission decides:",
        "    deny a *:* rwm",
        "    allow c 1:* r",
        "their program on cgroup v2, 14 instructions:",
        "    0: r2 = *(u32 *)(r1 + 0)",
    ]
    report = devices_json(given_rules)
    assert report["rules"] == ["deny a *:* rwm", "allow c 1:* r"]
    assert report["instructions"] == [line.strip() for line in text.splitlines()[4:]]
    code = bytes.fromhex(report["program"])
    assert len(code) == 8 * len(report["instructions"])
    assert bpf_machine.run(code, "c", 1, 9, "r")
    assert not bpf_machine.run(code, "c", 1, 9, "w")


@pytest.mark.parametrize("texts", [[], ["deny a", "allow a"]])
def test_report_where_there_is_no_program(texts: list[str]) -> None:
    assert devices_json(rules(*texts))["instructions"] == []
    assert devices_json(rules(*texts))["program"] == ""
    assert ("allow everything" in describe_devices(rules(*texts))) is bool(texts)
