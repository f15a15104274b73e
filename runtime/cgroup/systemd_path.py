"""linux.cgroupsPath under --systemd-cgroup: ``SLICE:PREFIX:NAME``, and where systemd puts such a unit.

The container is the scope ``PREFIX-NAME.scope`` in SLICE (systemd.scope(5), systemd.slice(5)).  Each of the three may
be empty; unset altogether it is ``system.slice:seatrial:ID``, in a user's manager ``user.slice:seatrial:ID``.
"""

from __future__ import annotations

from seatrial.runtime.errors import ConfigError

PATH = "linux.cgroupsPath"
PREFIX = "seatrial"
_MAX_UNIT = 255  # UNIT_NAME_MAX, with the final NUL in it
_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids")
_UNIT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")


def unit_for(cgroups_path: str | None, container_id: str, user: bool) -> tuple[str, str]:
    """(slice, unit) of a container.  Raises ConfigError.  '+' of an id is not for unit names: written ``\\x2b``."""
    slice = prefix = name = ""
    if cgroups_path:
        parts = cgroups_path.split(":")
        if len(parts) != 3:
            raise ConfigError(
                PATH, f"{cgroups_path!r} is not SLICE:PREFIX:NAME", "--systemd-cgroup needs it so; / is for cgroupfs"
            )
        slice, prefix, name = parts
    else:
        prefix = PREFIX
    slice = slice or ("user.slice" if user else "system.slice")
    name = name or container_id
    expand(slice)
    if name.endswith(".slice"):
        raise ConfigError(PATH, f"{name} is a slice, which holds no processes", "the third part names a scope")
    unit = f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    unit = unit.replace("+", "\\x2b")
    if not _UNIT_LETTERS.issuperset(unit) or len(unit) >= _MAX_UNIT:
        raise ConfigError(PATH, f"{unit!r} is not a unit name", "letters, digits and :-_.\\ (systemd.unit(5))")
    return slice, unit


def expand(slice: str) -> str:
    """The cgroup of a slice: ``a-b.slice`` is ``a.slice/a-b.slice``, "-.slice" the root "".  Raises ConfigError."""
    if slice == "-.slice":
        return ""
    name = slice.removesuffix(".slice")
    if (
        not name
        or name == slice
        or not _UNIT_LETTERS.issuperset(name)
        or len(slice) >= _MAX_UNIT
        or "" in name.split("-")
    ):
        raise ConfigError(PATH, f"{slice!r} is not the name of a slice", "such as system.slice or a-b.slice")
    parts = name.split("-")
    return "/".join(cgroup_name("-".join(parts[: count + 1]) + ".slice") for count in range(len(parts)))


def cgroup_name(unit: str) -> str:
    """The directory of a unit: its name, with "_" before one that the kernel or systemd could take for a file."""
    stem = unit.rpartition(".")[0]
    return f"_{unit}" if unit[0] in "_." or unit.startswith("cgroup.") or stem in _CONTROLLERS else unit
