"""What the command line says about other machines: pytest-xdist's --tx, and arguments that must survive the journey."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

REMOTE = re.compile(r"(?:\d+\*)?(?:.*//)?(?:ssh|vagrant_ssh|via|socket)=")


def remote(config: pytest.Config) -> bool:
    """Whether workers run on other machines: `-d --tx ssh=HOST` and its like."""
    option = config.option
    if getattr(option, "dist", "no") == "no" and not getattr(option, "distload", False):
        return False
    return any(REMOTE.match(text) for text in getattr(option, "tx", None) or ())


def arguments(given: Sequence[str], positional: Sequence[str]) -> list[str]:
    """The arguments with `--option VALUE` as `--option=VALUE`.

    pytest-xdist takes every argument that is a path of this machine for a source to be found again on the other one,
    and refuses those that are not below what it copied; a runtime or a results file is neither.
    """
    joined: list[str] = []
    for word in given:
        before = joined[-1] if joined else ""
        if before.startswith("--") and "=" not in before and not word.startswith("-") and word not in positional:
            joined[-1] = f"{before}={word}"
        else:
            joined.append(word)
    return joined


def name_of(spec: Any) -> str:
    """How people call the machine of an execnet spec."""
    return str(spec.ssh or spec.vagrant_ssh or spec.via or spec.socket or "this machine")
