"""The round-trip law: the probe's report after restore is the one before the checkpoint, but for a few exceptions.

The exceptions, which docs/checkpoint.md lists with their reasons, are what is numbered by the kernel when it is made
(namespaces, mounts, file systems, pipes, sockets: their numbers change, their relations must not), what goes on by
itself (clocks, free blocks), and two things that CRIU does not keep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from typing import Any

from seatrial.conformance.driver.probe import Report
from seatrial.conformance.errors import Finding

IGNORED = (
    "clocks",  # they go on
    "timens",  # CRIU restores into a time namespace, so that the monotonic clock does not jump
    "namespaces",  # new ones, with new numbers
    "keyring",  # CRIU does not keep keyrings
)
O_DIRECTORY = 0o200000  # open_flag_names of the probe: CRIU opens directories without it
VARYING = ("blocks_free", "files_free")


def hold(before: Report, after: Report, *members: str) -> None:
    """Finding unless the law holds for these members of the report."""
    found = differences(before, after, *members)
    if found:
        raise Finding("not as it was before the checkpoint: " + "; ".join(found.values()))


def differences(before: Report, after: Report, *members: str) -> dict[str, str]:
    """Where the law does not hold: member -> what became what."""
    one, two = comparable(before.data), comparable(after.data)
    return {name: f"{name}: {_difference(one[name], two.get(name))}" for name in members if one[name] != two.get(name)}


def remaining(report: Report, *others: str) -> list[str]:
    """The members that the law is about, but for `others`."""
    return [name for name in comparable(report.data) if name not in others]


def same_state(before: Report, after: Report, *kinds: str) -> None:
    """Finding unless the states of these kinds of workload are the same: no exceptions."""
    for kind in kinds:
        one, two = (report.verb("workload", kind).value for report in (before, after))
        if one != two:
            raise Finding(f"the state of {kind} is not as it was before the checkpoint: {_difference(one, two)}")


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """A report with numbers that only name something replaced by the order in which they first occur."""
    made = {key: value for key, value in report.items() if key not in IGNORED}
    for key, change in CHANGES.items():
        if made.get(key) is not None:
            made[key] = change(made[key])
    return made


def _mounts(mounts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By target, each mount with the target of its parent in place of the numbers, options sorted."""
    targets = {mount["id"]: mount["target"] for mount in mounts}
    kept: dict[str, list[dict[str, Any]]] = {}
    for mount in mounts:
        changed = {
            "on": targets.get(mount["parent"], ""),
            "propagation": sorted(re.sub(r":\d+", "", word) for word in mount["propagation"]),
            "options": sorted(mount["options"].split(",")),
            "super_options": sorted(mount["super_options"].split(",")),
        }
        if mount["root"] == "/null":  # a masked file: whose /dev/null it is makes no difference
            changed |= {"options": [], "super_options": [], "fstype": "", "source": ""}
        kept.setdefault(mount["target"], []).append({**_without(mount, "id", "parent", "device"), **changed})
    return kept


def _descriptors(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which descriptors are of the same file stays; what the kernel calls it does not."""
    files: dict[Hashable, int] = {}
    kept = []
    for entry in entries:
        number = files.setdefault((entry["dev"], entry["ino"]), len(files))
        target = entry["target"]
        if target is not None:
            target = re.sub(r":\[\d+\]", "", target).replace(".cr_link (deleted)", " (deleted)")
        flags = entry["flags"] & ~O_DIRECTORY
        kept.append({**_without(entry, "dev", "ino"), "file": number, "target": target, "flags": flags})
    return kept


def _streams(streams: list[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    return [stream and _without(stream, "dev", "ino") for stream in streams]


def _devices(devices: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {path: _without(entry, "dev", "ino") for path, entry in devices.items()}


def _place(place: dict[str, Any]) -> dict[str, Any]:
    return _without(place, "dev", "ino", *VARYING)


def _root(root: dict[str, Any]) -> dict[str, Any]:
    return _without(root, *VARYING)


def _without(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}


CHANGES: dict[str, Callable[[Any], Any]] = {
    "mounts": _mounts,
    "fds": _descriptors,
    "stdio": _streams,
    "devices": _devices,
    "cwd_stat": _place,
    "root": _root,
}


def _difference(one: Any, two: Any) -> str:
    """The parts of two values that differ, short."""
    if isinstance(one, dict) and isinstance(two, dict):
        keys = [key for key in {**one, **two} if one.get(key) != two.get(key)]
        return ", ".join(f"{key}: {_difference(one.get(key), two.get(key))}" for key in keys)
    if isinstance(one, list) and isinstance(two, list):
        if len(one) == len(two):
            return ", ".join(_difference(*pair) for pair in zip(one, two, strict=True) if pair[0] != pair[1])
        one, two = [part for part in one if part not in two], [part for part in two if part not in one]
    return " became ".join(text if len(text := json.dumps(part)) < 300 else text[:300] + "..." for part in (one, two))
