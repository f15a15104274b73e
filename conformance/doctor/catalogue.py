"""The cases with their needs, kept in the user's cache: to collect them takes longer than all else that doctor does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile

from seatrial.conformance import cache
from seatrial.conformance.check import CASES, HERE
from seatrial.conformance.engine.collect import Case, collect

PREFIX = "cases-"


def cases() -> list[Case]:
    """Every case of every profile.  HarnessBug when one cannot be collected."""
    path = os.path.join(cache.directory(), f"{PREFIX}{_state()}.json")
    found = _read(path)
    if found is None:
        found = collect("all")
        _write(path, found)
    return found


def _state() -> str:
    """A digest of what the collection depends on: name, size and time of our sources and of the tables beside them."""
    digest = hashlib.sha256(f"{sys.version} {HERE}".encode())
    sources = []
    for directory, _, names in os.walk(CASES):
        sources += [os.path.join(directory, name) for name in names if name.endswith((".py", ".toml", ".json"))]
    sources += [os.path.join(HERE, name) for name in os.listdir(HERE) if name.endswith((".py", ".toml"))]
    for source in sorted(sources):
        with contextlib.suppress(OSError):
            status = os.stat(source)
            digest.update(f"{source} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _read(path: str) -> list[Case] | None:
    try:
        with open(path, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            return [Case(str(name), tuple(ids), tuple(words)) for name, ids, words in json.load(file)]
    except (OSError, ValueError, TypeError):
        return None


def _write(path: str, found: list[Case]) -> None:
    """Best effort: without a cache it only takes longer."""
    with contextlib.suppress(OSError):
        directory = os.path.dirname(path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        for name in os.listdir(directory):
            if name.startswith(PREFIX):
                os.unlink(os.path.join(directory, name))
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False, encoding="utf-8") as file:
            json.dump([[case.id, case.requirements, case.needs] for case in found], file)
        os.replace(file.name, path)
