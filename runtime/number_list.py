"""Lists of numbers as the kernel writes them: "0-3,7" (cpuset(7), "List format")."""

from __future__ import annotations


def parse(text: str, highest: int) -> list[int]:
    """The numbers of a list, ascending, each once; [] for an empty one.  Blanks around the numbers are allowed.

    Raises ValueError, with a reason, for anything else, and for a number above `highest`.
    """
    numbers: set[int] = set()
    if not text.strip():
        return []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        for word in (first, last) if dash else (first,):
            if not word.isascii() or not word.isdigit():
                raise ValueError(f'"{part.strip()}" is neither a number nor a range such as 0-3')
            if len(word) > len(str(highest)) + 20 or int(word) > highest:
                raise ValueError(f"{word} is above {highest}")
        low, high = int(first), int(last if dash else first)
        if low > high:
            raise ValueError(f'the range "{part.strip()}" is empty')
        numbers.update(range(low, high + 1))
    return sorted(numbers)
