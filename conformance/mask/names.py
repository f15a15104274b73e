"""The masks that there are, by name, and what several of them do together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.mask import history
from seatrial.conformance.mask.features import BY_NAME_OF_FEATURE, FEATURES
from seatrial.conformance.mask.rule import Rule

ALL = "all"  # for `check`: one run for each single feature
OLDEST = (4, 18)
KERNEL = os.uname()  # asked once: what a case does to the personality(2) of its thread shows in it
LAST_MINORS = {4: 20, 5: 19, 6: 19}  # releases of a major version that has ended
# Profiles that are listed: long-term kernels and those of RHEL 8 and 9.  Every release from 4.18 on is a name.
LISTED = ((4, 18), (4, 19), (5, 4), (5, 10), (5, 14), (5, 15), (6, 1), (6, 6), (6, 12), (6, 18))


@dataclass(frozen=True, slots=True)
class Mask:
    """A named mask.  `version` is that of a version profile, `rows` the features of history.py that it hides."""

    name: str
    about: str
    rules: tuple[Rule, ...]
    rows: frozenset[str]
    version: tuple[int, int] | None = None


def version_of(release: str) -> tuple[int, int]:
    """(major, minor) of a kernel release such as `6.1.0-49-amd64`; EnvironmentProblem when it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if not found:
        raise EnvironmentProblem(f"no kernel version in {release!r}")
    return int(found.group(1)), int(found.group(2))


def features() -> list[str]:
    """The names of the single features."""
    return [feature.name for feature in FEATURES]


def profiles() -> list[str]:
    """The names of the version profiles that are listed and not newer than this kernel."""
    here = version_of(KERNEL.release)
    return [f"linux-{major}.{minor}" for major, minor in LISTED if (major, minor) <= here]


def resolve(name: str, release: str | None = None) -> Mask:
    """The mask of a name.  `release` is that of the kernel to be masked, None for the running one.

    EnvironmentProblem, with the names that are near, when there is none; or for a kernel newer than the running one.
    """
    if name in BY_NAME_OF_FEATURE:
        feature = BY_NAME_OF_FEATURE[name]
        return Mask(name, feature.about, feature.rules, frozenset(feature.rows))
    found = re.fullmatch(r"linux-(\d+)\.(\d+)", name)
    version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    if found and version >= OLDEST and version[1] <= LAST_MINORS.get(version[0], version[1]):
        running = release or KERNEL.release
        if version > version_of(running):
            raise EnvironmentProblem(f"mask {name}: this kernel is {running}, and a mask makes none newer")
        return profile(version)
    raise EnvironmentProblem(f"no mask {name!r}{_hint(name)}")


@cache
def profile(version: tuple[int, int]) -> Mask:
    """The version profile of a release: everything that came later fails as it did there, the oldest first (before
    5.3 there is no clone3, of whatever size)."""
    newer = sorted((row for row in history.ROWS if row.kernel > version), key=lambda row: row.kernel)
    rules = tuple(rule for row in newer for rule in row.rules)
    name = f"linux-{version[0]}.{version[1]}"
    about = f"what came after Linux {version[0]}.{version[1]} fails as it does there ({len(newer)} features)"
    return Mask(name, about, rules, frozenset(row.name for row in newer), version)


def resolve_all(names: Iterable[str]) -> tuple[Mask, ...]:
    """The masks of these names, each once, in the order given.  EnvironmentProblem as resolve()."""
    return tuple(resolve(name) for name in dict.fromkeys(names))


def union(masks: Iterable[Mask]) -> tuple[Rule, ...]:
    """The rules of several masks: whatever one of them refuses fails, and the first that answers a call decides how."""
    return tuple(rule for mask in masks for rule in mask.rules)


def masked_by(masks: Iterable[Mask], row: str) -> str | None:
    """The name of the first mask that hides a row of history.py."""
    return next((mask.name for mask in masks if row in mask.rows), None)


def oldest(masks: Iterable[Mask]) -> Mask | None:
    """The version profile with the oldest kernel among the masks."""
    versions = [mask for mask in masks if mask.version is not None]
    return min(versions, key=lambda mask: mask.version or OLDEST, default=None)


def _hint(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, [*features(), *profiles()], 3, 0.5)
    return f"; near it are {', '.join(near)}" if near else "; `seatrial mask --list` has them all"
