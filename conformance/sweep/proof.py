"""What a container's program saw, in a form that two containers of the same config have alike."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

# Numbers that the kernel gives out, and what the rest of the host changes.
CHANCE = frozenset(
    "id parent device dev ino blocks blocks_free files files_free clocks pid ppid pgid sid ns_pid namespaces".split()
)
_COUNTED = re.compile(r",nr_inodes=\d+")  # of one tmpfs that masks share: how many there are


def proof(report: dict[str, Any]) -> dict[str, str]:
    """The leaves of a report by their paths; mounts by their targets."""
    changed = {**report, "mounts": _by_target(report.get("mounts") or [])}
    return flat(changed)


def flat(value: Any, at: str = "") -> dict[str, str]:
    """The leaves of a JSON value, by their paths, without those of CHANCE."""
    found: dict[str, str] = {}
    _collect(value, at, found)
    return found


def _collect(value: Any, at: str, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in CHANCE:
                _collect(part, f"{at}.{key}" if at else str(key), found)
    elif isinstance(value, list):
        for key, part in enumerate(value):
            _collect(part, f"{at}[{key}]", found)
    else:
        text = repr(value)
        found[at] = _COUNTED.sub("", text) if ",nr_inodes=" in text else text


def _by_target(mounts: list[dict[str, Any]]) -> dict[str, Any]:
    turns: Counter[str] = Counter()
    found = {}
    for entry in mounts:
        target = str(entry.get("target"))
        turns[target] += 1
        found[target if turns[target] == 1 else f"{target} ({turns[target]})"] = entry
    return found


def differences(right: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is not as it should be, a line each."""
    gone = {name.rpartition(".")[0] for name in right if name.startswith("mounts.") and name not in found}
    lines = [f"nothing is mounted on {name.removeprefix('mounts.')}" for name in sorted(gone)]
    for name, leaf in right.items():
        if found.get(name) != leaf and name.rpartition(".")[0] not in gone:
            lines.append(f"{name} is {found[name]}, not {leaf}" if name in found else f"{name} is missing, not {leaf}")
    return lines
