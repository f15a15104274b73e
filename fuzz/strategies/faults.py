"""What can be wrong in one place of a valid config.json: types, missing members, values that the text forbids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seatrial.fuzz.strategies.draft import Document
from seatrial.fuzz.strategies.places import Place, drop, get, json_path, put, walk


@dataclass(frozen=True)
class Fault:
    """One change that makes a valid configuration invalid; `place` is what a runtime must complain about."""

    place: Place
    change: Callable[[Document], None]

    @property
    def path(self) -> str:
        """The JSON path of the place."""
        return json_path(self.place)


_WRONG: dict[type, tuple[Any, ...]] = {
    str: (1, True, [], {}),
    int: ("1", True, [], 1.5),
    bool: ("true", 1, []),
    list: ({}, "x", 1),
    dict: ([], "x", 1),
}
# The last words of places (None: an index or a free name) whose object has these required members.
_REQUIRED: dict[tuple[str | None, ...], tuple[str, ...]] = {
    (): ("ociVersion", "root"),
    ("root",): ("path",),
    ("process",): ("cwd", "args"),
    ("process", "rlimits", None): ("type", "soft", "hard"),
    ("process", "scheduler"): ("policy",),
    ("process", "ioPriority"): ("class",),
    ("mounts", None): ("destination",),
    ("hooks", None, None): ("path",),
    ("linux", "namespaces", None): ("type",),
    ("linux", "devices", None): ("type", "path"),
    ("linux", "uidMappings", None): ("containerID", "hostID", "size"),
    ("linux", "gidMappings", None): ("containerID", "hostID", "size"),
    ("linux", "resources", "devices", None): ("allow",),
    ("linux", "personality"): ("domain",),
    ("linux", "seccomp"): ("defaultAction",),
    ("linux", "seccomp", "syscalls", None): ("names", "action"),
    ("linux", "seccomp", "syscalls", None, "args", None): ("index", "value", "op"),
    ("linux", "memoryPolicy"): ("mode",),
}


def _putting(place: Place, value: Any) -> Fault:
    return Fault(place, lambda config: put(config, place, value))


def _matches(place: Place, pattern: tuple[str | None, ...]) -> bool:
    return len(place) == len(pattern) and all(word in (None, part) for part, word in zip(place, pattern, strict=True))


def mistyped(config: Document) -> list[Fault]:
    """A value of another JSON type, anywhere."""
    found = []
    for place, value in walk(config):
        found += [_putting(place, wrong) for wrong in _WRONG.get(type(value), ())]
    return found


def missing(config: Document) -> list[Fault]:
    """A required member left out, anywhere."""
    found = []
    for place, value in [((), config), *walk(config)]:
        for pattern, names in _REQUIRED.items():
            if isinstance(value, dict) and _matches(place, pattern):
                found += [_dropping((*place, name)) for name in names if name in value]
    return found


def _dropping(place: Place) -> Fault:
    return Fault(place, lambda config: drop(config, place))


# Value that no runtime may take -> where, whatever else the document says.
_NEVER: tuple[tuple[Place, Any], ...] = (
    (("ociVersion",), ""),
    (("ociVersion",), "1.0"),
    (("ociVersion",), "one"),
    (("ociVersion",), "2.0.0"),
    (("root", "path"), ""),
    (("root", "path"), "seatrial-no-such-directory"),
    (("process", "args"), []),
    (("process", "cwd"), ""),
    (("process", "cwd"), "tmp"),
    (("process", "oomScoreAdj"), 1001),
    (("process", "oomScoreAdj"), -1001),
    (("process", "user", "uid"), -1),
    (("process", "user", "gid"), 2**32),
    (("process", "scheduler"), {"policy": "SCHED_NOSUCH"}),
    (("process", "scheduler"), {"policy": "SCHED_OTHER", "nice": 20}),
    (("process", "scheduler"), {"policy": "SCHED_FIFO", "priority": 100}),
    (("process", "ioPriority"), {"class": "IOPRIO_CLASS_NOSUCH", "priority": 0}),
    (("process", "ioPriority"), {"class": "IOPRIO_CLASS_BE", "priority": 8}),
    (("process", "rlimits"), [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]),
    (("process", "rlimits"), [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
    (("process", "rlimits"), [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2),
    (("hooks", "prestart"), [{"path": "bin/true"}]),
    (("hooks", "poststop"), [{"path": "/bin/true", "timeout": 0}]),
    (("annotations", ""), "empty key"),
    (("linux", "rootfsPropagation"), "rrprivate"),
    (("linux", "personality"), {"domain": "LINUX64"}),
    (("linux", "maskedPaths"), ["proc/kcore"]),
    (("linux", "readonlyPaths"), ["proc/sys"]),
    (("linux", "cgroupsPath"), "/../../seatrial"),
    (("linux", "sysctl"), {"kernel.panic": "1"}),
    (("linux", "sysctl"), {"vm.swappiness": "1"}),
    (("linux", "devices"), [{"path": "/dev/x", "type": "x", "major": 1, "minor": 3}]),
    (("linux", "devices"), [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]),
    (("linux", "devices"), [{"path": "/dev/x", "type": "c", "major": 1}]),
    (("linux", "resources", "memory"), {"limit": 2**26, "swap": 2**25}),
    (("linux", "resources", "cpu"), {"cpus": "zero"}),
    (("linux", "resources", "cpu"), {"mems": "1-0"}),
    (("linux", "resources", "devices"), [{"allow": True, "type": "x"}]),
    (("linux", "resources", "devices"), [{"allow": True, "access": "rwx"}]),
    (("linux", "resources", "hugepageLimits"), [{"pageSize": "2 MB", "limit": 0}]),
    (("linux", "resources", "blockIO"), {"weight": 1}),
    (("linux", "seccomp"), {"defaultAction": "SCMP_ACT_NOSUCH"}),
    (("linux", "seccomp"), {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NOSUCH"]}),
    (("linux", "seccomp"), {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]}),
)


def _appended(config: Document, place: Place, entry: Document, *rest: str) -> Fault:
    """One more entry of an array, wrong at `rest`."""
    try:
        count = len(get(config, place))
    except (KeyError, TypeError):
        count = 0

    def change(config: Document) -> None:
        target = config
        for part in place[:-1]:
            target = target.setdefault(str(part), {})
        target.setdefault(str(place[-1]), []).append(entry)

    return Fault((*place, count, *rest), change)


def forbidden(config: Document) -> list[Fault]:
    """A value that the text of the specification or the kernel forbids, alone or beside the rest of this document."""
    found = [_putting(place, value) for place, value in _NEVER]
    types = {entry["type"] for entry in config.get("linux", {}).get("namespaces", ())}
    spaces: Place = ("linux", "namespaces")
    found.append(_appended(config, spaces, {"type": "nosuch"}, "type"))
    found += [_appended(config, spaces, {"type": kind}) for kind in sorted(types)]
    mapping = {"containerID": 0, "hostID": 0, "size": 65536}
    for name in ("uidMappings", "gidMappings"):
        if "user" not in types:
            found.append(_putting(("linux", name), [mapping]))
        else:
            found.append(_putting(("linux", name), [{**mapping, "size": 0}]))
            found.append(_putting(("linux", name), [mapping, mapping]))
            found.append(_putting(("linux", name), []))
    if "time" in types:
        found.append(_putting(("linux", "timeOffsets"), {"realtime": {"secs": 1}}))
        found.append(_putting(("linux", "timeOffsets"), {"boottime": {"nanosecs": 10**9}}))
    else:
        found.append(_putting(("linux", "timeOffsets"), {"boottime": {"secs": 1}}))
    for kind, key in (("network", "net.ipv4.ip_forward"), ("ipc", "kernel.msgmax")):
        if kind not in types:
            found.append(_putting(("linux", "sysctl"), {key: "1"}))
    if "uts" in types:
        found.append(_putting(("hostname",), "h" * 65))
    else:
        found.append(_putting(("hostname",), "host"))
    found.append(_appended(config, ("mounts",), {"destination": "", "type": "tmpfs", "source": "tmpfs"}, "destination"))
    found.append(_appended(config, ("mounts",), {"destination": "/mnt/x", "options": ["bind"]}, "source"))
    return found


KINDS: tuple[Callable[[Document], list[Fault]], ...] = (forbidden, missing, mistyped)
