"""`configs()`: config.json documents that a correct runtime accepts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies import extras, filesystem, namespaces, process, resources, seccomp
from seatrial.fuzz.strategies.draft import Document, Draft, Part

_MODULES = (namespaces, filesystem, process, resources, extras)
_EVERY_HOST: dict[str, Part] = {}
for _module in _MODULES:
    _EVERY_HOST |= _module.PARTS
_EVERY_HOST |= seccomp.PARTS
_SOME_HOSTS: dict[str, Part] = {}
for _module in _MODULES:
    _SOME_HOSTS |= _module.HOST_PARTS
_ALL = _EVERY_HOST | _SOME_HOSTS

PARTS: tuple[str, ...] = tuple(_EVERY_HOST)
"""What `configs` may change, in the order in which it does: for root on any Linux since 5.6."""

HOST_PARTS: tuple[str, ...] = tuple(_SOME_HOSTS)
"""More of it, valid everywhere by the specification, that needs a kernel, a cgroup version or hardware."""


@st.composite
def configs(
    draw: st.DrawFn, base: Document | None = None, *, parts: Collection[str] = PARTS, most: int = 6
) -> dict[str, Any]:
    """Configurations that differ from `base` in at most `most` parts, and that a correct runtime accepts.

    `base` is a config.json as a dictionary (default: the conformance harness' own, `defaults.document()`); it is
    copied, and its args and root are kept.  A draw shrinks to it.  `parts` are names from PARTS and HOST_PARTS.
    Raises KeyError for a name that is in neither.
    """
    for name in parts:
        _ALL[name]
    if base is None:
        from seatrial.conformance.driver import defaults

        base = defaults.document()
    draft = Draft(base)
    possible = [name for name in _ALL if name in parts]
    chosen = draw(st.lists(st.sampled_from(possible), unique=True, max_size=most)) if possible else []
    for name in possible:
        if name in chosen:
            _ALL[name](draw, draft)
    return draft.config
