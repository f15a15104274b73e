"""The members of the Features structure: their kinds, ledger rows and the spec version that introduced them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

Check = Callable[[Any], bool]

NAMESPACES = ("mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time")
ACTIONS = ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
LITTLE_ENDIAN = (
    *("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC64LE", "RISCV64"),
    *("LOONGARCH64", "SH"),
)
BIG_ENDIAN = ("MIPS", "MIPS64", "MIPS64N32", "PPC", "PPC64", "S390", "S390X", "PARISC", "PARISC64", "M68K", "SHEB")
FLAGS = ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV")


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def text(value: Any) -> bool:
    return isinstance(value, str)


def mapping(value: Any) -> bool:
    return isinstance(value, dict)


def strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def string_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def matching(pattern: str) -> Check:
    """An array of strings that match a pattern as a whole."""
    return lambda value: strings(value) and all(re.fullmatch(pattern, entry) for entry in value)


def constants(prefix: str, names: tuple[str, ...]) -> Check:
    """An array out of these constants."""
    return lambda value: strings(value) and {*value} <= {prefix + name for name in names}


class Member(NamedTuple):
    """A member by its path; `rows` are ledger ids."""

    path: str
    check: Check
    rows: tuple[str, ...]
    since: str = "1.1.0"


def _schema(name: str) -> str:
    return f"schema-features-schema/{name}"


def _linux(section: str, name: str, *rows: str) -> tuple[str, ...]:
    folder = f"features-linux/{section}/"
    return (*([f"schema-features-linux/{section}/{name}"] if name else []), *(folder + row for row in rows))


MEMBERS = [
    Member("ociVersionMin", text, (_schema("specification-version/oci-version-min"),)),
    Member("ociVersionMax", text, (_schema("specification-version/oci-version-max"),)),
    Member("hooks", strings, (_schema("hooks/hooks"), "features/hooks/1")),
    Member("mountOptions", strings, (_schema("mount-options/mount-options"),)),
    Member("annotations", string_map, (_schema("annotations/annotations"), "features/annotations/1")),
    Member(
        "potentiallyUnsafeConfigAnnotations",
        strings,
        (
            _schema("unsafe-annotations-in-configjson/potentially-unsafe-config-annotations"),
            "features/unsafe-annotations-in-configjson/1",
        ),
        "1.2.0",
    ),
    Member("linux", mapping, ("features/platform-specific-features/1", "features/platform-specific-features/2")),
    Member("linux.namespaces", constants("", NAMESPACES), _linux("namespaces", "namespaces", "1")),
    Member("linux.capabilities", matching("CAP_[A-Z_]+"), _linux("capabilities", "capabilities", "1")),
    Member("linux.cgroup", mapping, _linux("cgroup", "cgroup", "1")),
    Member("linux.cgroup.v1", boolean, _linux("cgroup", "cgroup-v1")),
    Member("linux.cgroup.v2", boolean, _linux("cgroup", "cgroup-v2")),
    Member("linux.cgroup.systemd", boolean, _linux("cgroup", "cgroup-systemd")),
    Member("linux.cgroup.systemdUser", boolean, _linux("cgroup", "cgroup-systemd-user")),
    Member("linux.cgroup.rdma", boolean, _linux("cgroup", "cgroup-rdma")),
    Member("linux.seccomp", mapping, _linux("seccomp", "seccomp", "1")),
    Member("linux.seccomp.enabled", boolean, _linux("seccomp", "seccomp-enabled")),
    Member("linux.seccomp.actions", constants("SCMP_ACT_", ACTIONS), _linux("seccomp", "seccomp-actions", "3")),
    Member("linux.seccomp.operators", constants("SCMP_CMP_", OPERATORS), _linux("seccomp", "seccomp-operators", "5")),
    Member(
        "linux.seccomp.archs",
        constants("SCMP_ARCH_", LITTLE_ENDIAN + BIG_ENDIAN),
        _linux("seccomp", "seccomp-archs", "7"),
    ),
    Member(
        "linux.seccomp.knownFlags",
        constants("SECCOMP_FILTER_FLAG_", FLAGS),
        _linux("seccomp", "seccomp-known-flags", "9"),
    ),
    Member(
        "linux.seccomp.supportedFlags",
        constants("SECCOMP_FILTER_FLAG_", FLAGS),
        _linux("seccomp", "seccomp-supported-flags"),
    ),
    Member("linux.apparmor", mapping, _linux("apparmor", "apparmor", "1")),
    Member("linux.apparmor.enabled", boolean, _linux("apparmor", "apparmor-enabled")),
    Member("linux.selinux", mapping, _linux("selinux", "selinux", "1")),
    Member("linux.selinux.enabled", boolean, _linux("selinux", "selinux-enabled")),
    Member("linux.intelRdt", mapping, _linux("intel-rdt", "intel-rdt", "1")),
    Member("linux.intelRdt.enabled", boolean, _linux("intel-rdt", "intel-rdt-enabled")),
    Member("linux.intelRdt.schemata", boolean, _linux("intel-rdt", "", "3"), "1.3.0"),
    Member("linux.intelRdt.monitoring", boolean, _linux("intel-rdt", "", "4"), "1.3.0"),
    Member("linux.memoryPolicy", mapping, _linux("memorypolicy", "", "1"), "1.3.0"),
    Member("linux.memoryPolicy.modes", matching("MPOL_[A-Z_]+"), _linux("memorypolicy", "", "2"), "1.3.0"),
    Member("linux.memoryPolicy.flags", matching("MPOL_[A-Z_]+"), _linux("memorypolicy", "", "4"), "1.3.0"),
    Member("linux.mountExtensions", mapping, _linux("mountextensions", "mount-extensions", "1"), "1.2.0"),
    Member("linux.mountExtensions.idmap", mapping, _linux("mountextensions", "mount-extensions-idmap", "2"), "1.2.0"),
    Member(
        "linux.mountExtensions.idmap.enabled",
        boolean,
        _linux("mountextensions", "mount-extensions-idmap-enabled"),
        "1.2.0",
    ),
    Member("linux.netDevices", mapping, _linux("netdevices", "net-devices", "1"), "1.3.0"),
    Member("linux.netDevices.enabled", boolean, _linux("netdevices", "net-devices-enabled"), "1.3.0"),
]


def find(features: dict[str, Any], path: str) -> Any:
    """The value at a path; None when it, or something on the way, is absent or null."""
    value: Any = features
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def walk(value: dict[str, Any], prefix: str = "") -> list[str]:
    """Paths of all members that are there (not null), without the keys of annotations."""
    found = []
    for name, entry in value.items():
        if entry is None:
            continue
        path = prefix + name
        found.append(path)
        if isinstance(entry, dict) and path != "annotations":
            found += walk(entry, path + ".")
    return found


SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)


def precedence(version: str) -> tuple[Any, ...]:
    """A key by which SemVer versions sort (semver.org 2.0.0, item 11); AssertionError for what is none."""
    found = SEMVER.fullmatch(version)
    assert found, f"{version!r} is no SemVer version"
    words = found[4].split(".") if found[4] else []
    parts = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in words)
    return (*(int(found[number]) for number in (1, 2, 3)), not words, parts)
