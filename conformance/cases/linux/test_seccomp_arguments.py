"""config-linux.md#seccomp: entries restricted to argument values, by every operator."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux.filters import CALL, EXECUTED, allow_all, condition, rule
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

pytestmark = needs("seccomp")

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config-linux/seccomp/"
LENGTH = 4  # index of the argument of copy_file_range(2) that is 64 bits wide and free of effects here
ORDER: dict[str, Callable[[int, int], bool]] = {
    "SCMP_CMP_NE": operator.ne,
    "SCMP_CMP_LT": operator.lt,
    "SCMP_CMP_LE": operator.le,
    "SCMP_CMP_EQ": operator.eq,
    "SCMP_CMP_GE": operator.ge,
    "SCMP_CMP_GT": operator.gt,
}
# small, more than 32 bits, above 2**63 (where a signed number ends; and a double cannot tell it from its neighbours)
BOUNDARIES = [
    pytest.param(10, id="10"),
    pytest.param((1 << 32) + 5, id="2^32+5"),
    pytest.param((1 << 63) + (1 << 32) + 1, marks=covers(ROW + "42"), id="2^63+2^32+1"),
]


def filtered(report: Reader, bundle: Bundle, arguments: list[list[int]]) -> list[bool]:
    """For each list of arguments of CALL: whether the action (ERRNO, EPERM) applied."""
    calls = [f"syscall {CALL} " + " ".join(f"{value:#x}" for value in values) for values in arguments]
    errors = [verb.errno for verb in report(bundle.probe(" -- ".join(calls), report=False)).verbs]
    assert set(errors) <= {"EPERM", EXECUTED}
    assert len(errors) == len(arguments)
    return [name == "EPERM" for name in errors]


def with_value(index: int, value: int) -> list[int]:
    """Arguments of CALL with one of them set; the descriptors are closed ones."""
    values = [(1 << 64) - 1, 0, (1 << 64) - 1, 0, 0, 0]
    values[index] = value
    return values


def around(value: int) -> list[int]:
    """Values on either side, and some that share one half only."""
    near = [value - 1, value, value + 1, value & 0xFFFFFFFF, value & ~0xFFFFFFFF, value ^ (1 << 40), 0, (1 << 64) - 1]
    return sorted({number for number in near if 0 <= number < 1 << 64})


@pytest.mark.parametrize("value", BOUNDARIES)
@pytest.mark.parametrize(
    "op", [pytest.param(name, marks=covers(f"{ROW}{row}"), id=name) for row, name in enumerate(ORDER, 45)]
)
def test_operator(bundle: Bundle, report: Reader, op: str, value: int) -> None:
    """The action applies exactly where `argument op value` holds, unsigned (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[condition(LENGTH, op, value)]))
    numbers = around(value)
    found = filtered(report, bundle, [with_value(LENGTH, number) for number in numbers])
    assert dict(zip(numbers, found, strict=True)) == {number: ORDER[op](number, value) for number in numbers}


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        pytest.param(0xF0, 0x50, id="8 bits"),
        pytest.param(0xFF00000000, 0x1100000000, id="upper half"),
        pytest.param(0x8000000000000001, 0x8000000000000000, marks=covers(ROW + "42"), id="both ends"),
        pytest.param(0x8, None, id="no valueTwo"),
    ],
)
@covers(ROW + "51", ROW + "43")
def test_masked_operator(bundle: Bundle, report: Reader, mask: int, wanted: int | None) -> None:
    """SCMP_CMP_MASKED_EQ: `argument & value == valueTwo`, which is 0 if left out (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[condition(LENGTH, "SCMP_CMP_MASKED_EQ", mask, wanted)]))
    datum = wanted or 0
    numbers = [datum, datum | 0x2, datum | 0x2000000000, datum ^ mask, mask, 0, 0x1100000000, (1 << 64) - 1]
    found = filtered(report, bundle, [with_value(LENGTH, number) for number in numbers])
    assert found == [number & mask == datum for number in numbers]


@covers(ROW + "43")
@pytest.mark.parametrize("op", ["SCMP_CMP_EQ", "SCMP_CMP_LT"])
def test_other_operators_ignore_the_second_value(bundle: Bundle, report: Reader, op: str) -> None:
    """valueTwo belongs to SCMP_CMP_MASKED_EQ alone (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[condition(LENGTH, op, 10, 20)]))
    numbers = [0, 9, 10, 11, 19, 20, 21]
    found = filtered(report, bundle, [with_value(LENGTH, number) for number in numbers])
    assert found == [ORDER[op](number, 10) for number in numbers]


@covers(ROW + "41")
@pytest.mark.parametrize("index", range(6))
def test_index_picks_the_argument(bundle: Bundle, report: Reader, index: int) -> None:
    """index counts arguments from 0 (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[condition(index, "SCMP_CMP_EQ", 999)]))
    found = filtered(report, bundle, [with_value(other, 999) for other in range(6)])
    assert found == [other == index for other in range(6)]


@covers(ROW + "40")
def test_all_conditions_must_hold(bundle: Bundle, report: Reader) -> None:
    """An entry with several args applies where all of them hold (config-linux.md#seccomp)."""
    conditions = [condition(LENGTH, "SCMP_CMP_GE", 10), condition(5, "SCMP_CMP_EQ", 3)]
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=conditions))
    closed = with_value(0, (1 << 64) - 1)[:4]
    found = filtered(report, bundle, [[*closed, *last] for last in ([10, 3], [9, 3], [10, 4], [9, 4], [11, 3])])
    assert found == [True, False, False, False, True]


@covers(ROW + "40")
def test_entries_of_one_call_add_up(bundle: Bundle, report: Reader) -> None:
    """Two entries for one call: the action applies where either holds (config-linux.md#seccomp)."""
    entries = [rule("SCMP_ACT_ERRNO", args=[condition(LENGTH, "SCMP_CMP_EQ", value)]) for value in (7, 9)]
    found = filtered(report, allow_all(bundle, *entries), [with_value(LENGTH, value) for value in (6, 7, 8, 9, 10)])
    assert found == [False, True, False, True, False]


@covers(ROW + "40")
@pytest.mark.parametrize("members", [{}, {"args": []}], ids=["absent", "empty"])
def test_no_conditions(bundle: Bundle, report: Reader, members: dict[str, Any]) -> None:
    """Without args the entry applies always (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", **members))
    assert filtered(report, bundle, [with_value(LENGTH, value) for value in (0, 1, 1 << 40)]) == [True] * 3


@covers(ROW + "42")
def test_condition_of_value_0(bundle: Bundle, report: Reader) -> None:
    """The value 0 is compared like any other (config-linux.md#seccomp)."""
    allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[condition(LENGTH, "SCMP_CMP_EQ", 0)]))
    assert filtered(report, bundle, [with_value(LENGTH, value) for value in (0, 1)]) == [True, False]


def broken(**members: Any) -> dict[str, Any]:
    """A condition with members replaced, or removed (None)."""
    entry = {**condition(LENGTH, "SCMP_CMP_EQ", 10), **members}
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(broken(index=None), marks=covers(ROW + "41"), id="no index"),
        pytest.param(broken(index=6), marks=covers(ROW + "41"), id="index 6"),
        pytest.param(broken(value=None), marks=covers(ROW + "42"), id="no value"),
        pytest.param(broken(op=None), marks=covers(ROW + "44"), id="no op"),
        pytest.param(broken(op=""), marks=covers(ROW + "44"), id="empty op"),
        pytest.param(broken(op="SCMP_CMP_NOSUCH"), marks=covers(ROW + "44"), id="unknown op"),
        pytest.param(broken(op="=="), marks=covers(ROW + "44"), id="op as a sign"),
    ],
)
def test_bad_condition_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, entry: dict[str, Any]
) -> None:
    """A condition needs index (0 to 5), value and a known op (config-linux.md#seccomp)."""
    good = allow_all(make_bundle(), rule("SCMP_ACT_ERRNO", args=[broken()]))
    rejected(runtime, allow_all(bundle, rule("SCMP_ACT_ERRNO", args=[entry])), by="start", control=good)
