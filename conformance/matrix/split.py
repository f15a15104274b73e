"""Deals cases out: a cell's share of the suite, and the parts of it that machines run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from seatrial.conformance.engine.collect import Case

BLOCK = 12  # cases of one file that stay together: they may share a container, and a file is imported once


def deal(cases: Sequence[Case], hands: int) -> list[list[Case]]:
    """So many parts of about the same length, in the suite's order, each of neighbouring cases as far as that goes.

    It follows from the cases alone; a part may be empty when there are few.
    """
    dealt: list[list[list[Case]]] = [[] for _ in range(hands)]
    sizes = [0] * hands
    order = {case.id: number for number, case in enumerate(cases)}
    for block in sorted(blocks(cases), key=lambda block: (-len(block), order[block[0].id])):
        hand = sizes.index(min(sizes))
        dealt[hand].append(block)
        sizes[hand] += len(block)
    return [[case for block in sorted(hand, key=lambda one: order[one[0].id]) for case in block] for hand in dealt]


def blocks(cases: Sequence[Case]) -> list[list[Case]]:
    """Neighbouring cases of one file, at most BLOCK of them."""
    found = []
    for _, group in groupby(cases, key=lambda case: case.id.partition("::")[0]):
        together = list(group)
        found += [together[start : start + BLOCK] for start in range(0, len(together), BLOCK)]
    return found
