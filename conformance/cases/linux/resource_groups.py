"""resctrl as the cases see it: classes of service, their schemata and tasks (Documentation/filesystems/resctrl.rst)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from seatrial.conformance.errors import EnvironmentProblem, Finding

ROOT = "/sys/fs/resctrl"
FILES = frozenset({"info", "mon_groups", "mon_data"})


def place(*names: str) -> str:
    """A path below the mount point."""
    return os.path.join(ROOT, *names)


def read(*names: str) -> str:
    """A file's text.  Finding when it is not there: the runtime should have made its group."""
    try:
        with open(place(*names), encoding="ascii") as file:
            return file.read()
    except OSError as error:
        raise Finding(f"cannot read {place(*names)}: {error.strerror}") from error


def tasks(*names: str) -> set[int]:
    """The processes of a group."""
    return {int(word) for word in read(*names, "tasks").split()}


def groups(*names: str) -> set[str]:
    """The groups below a group (the classes, without arguments)."""
    with os.scandir(place(*names)) as entries:
        return {entry.name for entry in entries if entry.is_dir() and entry.name not in FILES}


def schemata(*names: str) -> dict[str, dict[str, int]]:
    """Resource -> domain -> value: masks are hexadecimal, a bandwidth is decimal."""
    found: dict[str, dict[str, int]] = {}
    for line in read(*names, "schemata").splitlines():
        resource, _, rest = line.strip().partition(":")
        base = 10 if resource.startswith(("MB", "SMBA")) else 16
        pairs = (entry.partition("=") for entry in rest.split(";"))
        found[resource] = {domain: int(value, base) for domain, _, value in pairs}
    return found


def first(resource: str) -> tuple[str, int]:
    """The first domain of a resource and its default value; the case is skipped where the hardware lacks it."""
    values = schemata().get(resource)
    if not values:
        pytest.skip(f"rdt: this processor has no {resource} in its schemata")
    domain = min(values)
    return domain, values[domain]


def write_line(path: str, line: str) -> None:
    """Write one line to a control file.  OSError from write(2)."""
    with open(path, "w", encoding="ascii") as file:
        file.write(line)


def make(path: str) -> None:
    """Make a group.  OSError from mkdir(2): ENOSPC when the hardware has no more."""
    os.mkdir(path)


def remove(path: str) -> None:
    """Remove a group.  OSError from rmdir(2)."""
    os.rmdir(path)


@contextlib.contextmanager
def group(name: str, *lines: str) -> Iterator[str]:
    """A class of service made by us, with these lines written; removed at the end."""
    path = place(name)
    try:
        make(path)
    except OSError as error:
        raise EnvironmentProblem(f"cannot make {path}: {error.strerror}") from error
    try:
        for line in lines:
            write_line(os.path.join(path, "schemata"), line + "\n")
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            remove(path)
