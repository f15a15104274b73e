"""Mutations of what the parent writes to the kernel's files: limits of a cgroup, id maps.

file/pids.max/not written
file/memory.limit_in_bytes/doubled        every number in the value
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+")


def names(path: str, value: str) -> set[str]:
    """The mutations that change the writing of a value to a file."""
    name = path.rpartition("/")[2]
    found = {f"file/{name}/not written"}
    if doubled(value) != value:
        found.add(f"file/{name}/doubled")
    return found


def doubled(value: str) -> str:
    """The text with every number in it doubled."""
    return _NUMBER.sub(lambda match: str(2 * int(match[0])), value)
