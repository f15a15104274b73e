"""CPU lists and masks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.runtime.cpus import cpu_mask, parse_cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0", [0]), ("0-3,7", [0, 1, 2, 3, 7]), (" 2 , 1 - 2 ", [1, 2]), ("8191", [8191]), ("3,3", [3])],
)
def test_lists(text: str, cpus: list[int]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1,,2", "8192", "0-99999999999", "\u0661", "1-2-3", "+1"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|empty|above"):
        parse_cpus(text)


@given(st.sets(st.integers(0, 8191), min_size=1))
def test_masks(cpus: set[int]) -> None:
    mask = cpu_mask(sorted(cpus))
    assert len(mask) % 8 == 0
    assert {cpu for cpu in range(len(mask) * 8) if mask[cpu // 8] >> cpu % 8 & 1} == cpus
