"""The formats in which cgroup files give numbers.  cgroup-v2.rst, "Format"; cgroup-v1/*.rst.

A file that is absent reads as nothing: which ones there are depends on kernel, configuration and controllers.
"""

from __future__ import annotations

import errno
import os

from seatrial.runtime.cgroup.files import ABSENT, read
from seatrial.runtime.errors import SeatrialError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.stats import Pressure

_NOT_HERE = (*ABSENT, errno.EOPNOTSUPP)  # EOPNOTSUPP: pressure files of a kernel that has accounting off


def text(directory: str, name: str) -> str | None:
    """The content, or None when there is no such file.  Raises SyscallError."""
    try:
        return read(directory, name)
    except SyscallError as error:
        if error.errno in _NOT_HERE:
            return None
        raise


def number(directory: str, name: str, unlimited: int = 0, default: int = 0) -> int:
    """A file with one number; `unlimited` for "max", `default` when there is no such file."""
    content = text(directory, name)
    if content is None:
        return default
    return unlimited if content == "max" else _number(content, directory, name)


def numbers(directory: str, name: str) -> list[int]:
    """A file with numbers in one line."""
    return [_number(word, directory, name) for word in (text(directory, name) or "").split()]


def flat_keyed(directory: str, name: str) -> dict[str, int]:
    """Lines of ``KEY NUMBER``; ``KEY max`` is left out."""
    found = {}
    for line in (text(directory, name) or "").splitlines():
        key, _, value = line.partition(" ")
        if value and value != "max":
            found[key] = _number(value, directory, name)
    return found


def nested_keyed(directory: str, name: str) -> dict[str, dict[str, str]]:
    """Lines of ``KEY A=1 B=2``."""
    found = {}
    for line in (text(directory, name) or "").splitlines():
        key, *pairs = line.split()
        found[key] = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return found


def pressure(directory: str, name: str) -> Pressure | None:
    """A pressure file (psi.rst); None where the kernel has none."""
    from seatrial.runtime.stats import Pressure, PressureLine

    lines = nested_keyed(directory, name)
    if not lines:
        return None
    result = Pressure()
    for kind, values in lines.items():
        line = PressureLine(
            avg10=float(values.get("avg10", 0)),
            avg60=float(values.get("avg60", 0)),
            avg300=float(values.get("avg300", 0)),
            total=int(values.get("total", 0)),
        )
        if kind == "some":
            result.some = line
        elif kind == "full":  # not for cpu before Linux 5.13
            result.full = line
    return result


def cpu_list(content: str) -> list[int]:
    """``0-2,5`` as [0, 1, 2, 5]."""
    found: list[int] = []
    for part in content.split(","):
        first, _, last = part.partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def page_sizes(directory: str) -> list[str]:
    """The sizes of huge pages that a cgroup has files for: ["2MB", "1GB"]."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    found = {name.split(".")[1] for name in names if name.startswith("hugetlb.")}
    return sorted(size for size in found if size[:1].isdigit())


def _number(word: str, directory: str, name: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise SeatrialError(f"{directory}/{name}: not a number: {word!r}") from None
