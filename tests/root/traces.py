"""What a run of `seatrial check` has on the host: its processes, cgroups and directory, to see that they go."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from seatrial.conformance.airlock import subtree


def roots() -> list[str]:
    return sorted({place.own or place.mount for place in subtree.hierarchies()})


def mine(pid: int) -> list[str]:
    """The cgroups of the janitor with that pid."""
    return [path for root in roots() if os.path.exists(path := os.path.join(root, subtree.name_for(pid)))]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def words(pid: int) -> list[str]:
    """The command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def directory(janitor: int) -> str:
    """The directory of the run, from the request that the janitor was given."""
    return os.path.dirname(str(json.loads(words(janitor)[3])["workdir"]))


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
