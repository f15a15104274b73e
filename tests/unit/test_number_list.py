"""Lists such as 0-3,7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.runtime.number_list import parse


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        (" ", []),
        ("0", [0]),
        ("0-3,7", [0, 1, 2, 3, 7]),
        ("7, 0 - 1,1-2", [0, 1, 2, 7]),
        ("00005", [5]),
        ("10", [10]),
    ],
)
def test_numbers(text: str, numbers: list[int]) -> None:
    assert parse(text, 10) == numbers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("11", "above 10"),
        ("0-11", "above 10"),
        ("0-" + "9" * 10000, "above 10"),
        ("2-1", "is empty"),
        *((text, "neither") for text in ("a", ",", "0,", "-1", "1-", "1-2-3", "1 2", "+1", "\u0661", "0x1", "^1")),
    ],
)
def test_what_is_no_list(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text, 10)


@given(st.sets(st.integers(0, 50)))
def test_any_set_of_numbers(numbers: set[int]) -> None:
    assert parse(",".join(map(str, numbers)), 50) == sorted(numbers)


@given(st.text(alphabet="0123456789,- ", max_size=12))
def test_any_text(text: str) -> None:
    try:
        numbers = parse(text, 99)
    except ValueError:
        return
    assert all(0 <= number <= 99 for number in numbers)
