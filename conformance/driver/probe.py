"""Reads what the probe prints: one JSON object per line, a report or the outcome of a verb."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.driver.execute import Result, tail
from seatrial.conformance.engine.needs import CAPABILITIES
from seatrial.conformance.errors import Finding

SCHEMA = "seatrial.probe/1"
INFINITY = (1 << 64) - 1  # RLIM_INFINITY as the probe prints it


@dataclass(frozen=True, slots=True)
class Verb:
    """The outcome of one verb: `errno` is the error's name ("EPERM") or None, `value` what the verb read or
    returned."""

    verb: str
    args: tuple[str, ...]
    ok: bool
    errno: str | None
    value: Any


class Report:
    """The probe's snapshot.  `report["ids"]` is a member of the JSON object; the methods look things up in it."""

    def __init__(self, data: dict[str, Any], verbs: list[Verb], result: Result | None = None) -> None:
        self.data = data
        self.verbs = verbs
        self.result = result

    def __getitem__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise Finding(f"the probe's report has no {name}") from None

    def verb(self, name: str, *args: str) -> Verb:
        """The first outcome of a verb, whose arguments start with `args`; Finding when it did not run."""
        for verb in self.verbs:
            if verb.verb == name and verb.args[: len(args)] == args:
                return verb
        raise Finding(f"the probe did not get as far as: {name} {' '.join(args)}")

    @property
    def env(self) -> dict[str, str]:
        """The environment (of a repeated name the last)."""
        return dict(entry.partition("=")[::2] for entry in self["env"])

    def caps(self, kind: str = "effective") -> set[str]:
        """Names (`CAP_...`) in a capability set: effective, permitted, inheritable, bounding or ambient."""
        bits = int(self["caps"][kind], 16)
        return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bits >> number & 1}

    def mounts(self, target: str) -> list[dict[str, Any]]:
        """The mounts on a target, oldest first."""
        return [entry for entry in self["mounts"] or [] if entry["target"] == target]

    def mount(self, target: str) -> dict[str, Any]:
        """The topmost mount on a target; Finding when there is none."""
        found = self.mounts(target)
        if not found:
            raise Finding(f"nothing is mounted on {target} in the container")
        return found[-1]

    def options(self, target: str) -> set[str]:
        """Options of the topmost mount on a target: per-mount options and those of its super block."""
        entry = self.mount(target)
        return _words(entry["options"]) | _words(entry["super_options"])

    def mount_options(self, target: str) -> set[str]:
        """Per-mount options only (ro, nosuid, nodev, noexec, relatime ...)."""
        return _words(self.mount(target)["options"])

    def rlimit(self, name: str) -> tuple[int, int]:
        """(soft, hard); INFINITY for no limit."""
        soft, hard = self["rlimits"][name]
        return soft, hard

    def device(self, path: str) -> dict[str, Any]:
        """An entry of /dev; Finding when there is none."""
        try:
            entry: dict[str, Any] = self["devices"][path]
        except KeyError:
            raise Finding(f"the container has no {path}") from None
        return entry

    def namespace(self, type: str) -> int:
        """Inode number of a namespace, by its name under /proc/PID/ns; Finding when the probe could not read it."""
        value = self["namespaces"].get(type)
        if not isinstance(value, int):
            raise Finding(f"the probe could not read its {type} namespace")
        return value


def _words(options: str | list[str]) -> set[str]:
    return set(options.split(",") if isinstance(options, str) else options)


def parse(text: str, result: Result | None = None) -> Report:
    """The report and verb outcomes in the probe's output.  Lines that are not JSON (a program's own output) are
    passed over. A run without a report gives a Report with empty data."""
    data: dict[str, Any] = {}
    verbs: list[Verb] = []
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "schema" in entry:
            if entry["schema"] != SCHEMA:
                raise Finding(f"the probe speaks {entry['schema']!r}, not {SCHEMA!r}")
            data = entry
        elif "verb" in entry:
            verbs.append(
                Verb(
                    entry["verb"],
                    tuple(entry.get("args", ())),
                    bool(entry["ok"]),
                    entry.get("errno"),
                    entry.get("value"),
                )
            )
    if not data and not verbs:
        where = f"{result.describe()}: " if result else ""
        raise Finding(f"{where}the probe printed nothing readable: {tail(text, 500)!r}")
    return Report(data, verbs, result)
