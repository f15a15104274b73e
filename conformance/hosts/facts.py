"""What a machine tells of itself before it gets a worker, and whether it may share a run with the others."""

from __future__ import annotations

import hashlib
import os
from typing import Any

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUFFIXES = (".py", ".toml")
# Sent to the machine as it is: it must run in any python3, with or without a seatrial.
PROBE = """
import json, sys
facts = {"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable}
try:
    from importlib.metadata import version
    for name in ("seatrial", "pytest", "pytest-xdist"):
        facts[name] = version(name)
    from seatrial.conformance.hosts import facts as ours
    facts.update(ours.own(runtime))
except Exception as error:
    facts["error"] = "%s: %s" % (type(error).__name__, error)
channel.send(json.dumps(facts))
"""
# Made where the worker runs: in its airlock.
STAMP = """
import json, os
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.engine.session import resolve_runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import stamp
try:
    made = stamp.make(resolve_runtime(runtime), profile, VIEW_ENV in os.environ, masks)
    channel.send(json.dumps({"stamp": made, "node": os.uname().nodename}))
except EnvironmentProblem as error:
    channel.send(json.dumps({"error": str(error)}))
"""


def own(runtime: str | None) -> dict[str, Any]:
    """Where our harness lies, a digest of its sources, the runtime's path; `refused` when there is none."""
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.conformance.errors import EnvironmentProblem

    try:
        return {"place": HERE, "sources": sources(), "runtime": resolve_runtime(runtime)}
    except EnvironmentProblem as error:
        return {"place": HERE, "sources": sources(), "refused": str(error)}


def sources() -> str:
    """A digest of the harness's own files: two trees of one version may differ."""
    total = hashlib.sha256()
    for directory, folders, files in os.walk(HERE):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    total.update(f"{os.path.relpath(path, HERE)}\0".encode() + file.read())
    return total.hexdigest()[:16]


def complaint(facts: dict[str, Any], ours: dict[str, Any], place: str | None) -> str | None:
    """Why a machine cannot take part, None when it can.  `ours` are the facts of this machine, `place` is where the
    harness lies on the first of the others: pytest compares the cases of its workers by their paths."""
    for name in ("seatrial", "pytest-xdist"):
        if name in facts and facts[name] != ours[name]:
            return f"{name} {facts[name]} there, {ours[name]} here: install the same version"
    if "error" in facts:
        hint = ""
        if "seatrial" not in facts:
            hint = f": install seatrial {ours['seatrial']} there, and name its interpreter in --tx with //python="
        return f"{facts['error']} ({facts['executable']}){hint}"
    if facts["sources"] != ours["sources"]:
        return f"seatrial {ours['seatrial']} there has other sources than here: install the same tree"
    if place is not None and facts["place"] != place:
        return f"seatrial lies in {facts['place']}, and in {place} on another machine: install it in the same place"
    return facts.get("refused")


def difference(first: dict[str, Any], other: dict[str, Any]) -> str | None:
    """What of two stamps forbids that their machines share a run, whose results are those of one environment."""
    for path in (
        ("runtime", "digest"),
        ("privilege",),
        ("cgroup", "view"),
        ("cgroup", "controllers"),
        ("airlock",),
        ("host", "kernel"),
        ("host", "machine"),
        ("host", "distribution"),
        ("host", "lsm"),
    ):
        one, two = _at(first, path), _at(other, path)
        if one != two:
            return f"{' '.join(path)} {two}, not {one}"
    return None


def _at(stamp: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = stamp
    for name in path:
        value = value[name]
    return value
