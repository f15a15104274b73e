"""`planted.py TARGET ...`: a target whose runtime has a bug in it, in this process alone.  It must be found soon.

Each bug is one that loaders have had: a check that is missing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def _nothing(*arguments: Any) -> None:
    """In place of a check."""


# Target -> (module or class, attribute, what it is instead)
BUGS: dict[str, tuple[str, str, Any]] = {
    "loader": ("seatrial.runtime.document", "_refuse_surrogates", _nothing),  # what is read cannot be written
    "converter": ("seatrial.runtime.spec.rules:Object", "check", _nothing),  # members of any type, or none
    "compiler": ("seatrial.runtime.spec.rules:Text", "check", _nothing),  # a NUL, where a plan has C strings
    "seccomp": ("seatrial.runtime.spec.rules:Integer", "check", _nothing),  # numbers that C has no room for
    "mount_options": ("seatrial.runtime.mount_options", "ATIME_MODES", 0),  # several modes in force
}


def main() -> None:
    """Plant, and search as the target does."""
    name = sys.argv.pop(1)
    place, attribute, instead = BUGS[name]
    target = importlib.import_module(f"seatrial.fuzz.targets.{name}")
    from seatrial.fuzz.targets import engine

    module, _, member = place.partition(":")
    owner: Any = importlib.import_module(module)
    if member:
        owner = getattr(owner, member)
    getattr(owner, attribute)  # an AttributeError is better than a bug that is not there
    setattr(owner, attribute, instead)
    engine.run(target.check)


if __name__ == "__main__":
    main()
