"""Versions of runtimes and kernels, as numbers: `runc version 1.1.5+ds1` is 1.1.5, `6.1.0-49-amd64` is 6.1.0."""

from __future__ import annotations

import re

CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)?(\d+(?:\.\d+)*)")


def find(text: str) -> str:
    """The first number with a dot in a text (without what follows: a pre-release counts as its release), or ""."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found.group() if found else ""


def matches(wanted: str, version: str) -> bool:
    """Whether a version fulfils every clause: `>=1.1 <1.3`; a clause without a sign is a beginning, 1.1 of 1.1.5.

    An empty text is fulfilled by every version, other texts never by the version "" (unknown).  ValueError for a
    malformed clause.
    """
    good = True
    for clause in wanted.replace(",", " ").split():
        found = CLAUSE.fullmatch(clause)
        if not found:
            raise ValueError(f"{clause!r}: expected a version such as 1.1 or >=1.1")
        good = good and bool(version) and _holds(found.group(1), _numbers(found.group(2)), _numbers(version))
    return good


def _holds(sign: str | None, wanted: tuple[int, ...], have: tuple[int, ...]) -> bool:
    if sign is None:
        return have[: len(wanted)] == wanted
    width = max(len(wanted), len(have))
    left, right = (numbers + (0,) * (width - len(numbers)) for numbers in (have, wanted))
    return {
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
        "==": left == right,
        "!=": left != right,
    }[sign]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split("."))
