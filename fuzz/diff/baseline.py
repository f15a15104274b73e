"""Known divergences: a TOML file with an identity, a reason and a link for each.  What is not in it is new."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem

HEAD = """# Divergences that are known (seatrial fuzz diff --baseline FILE): what is not in here is exit status 1.
# identity   as `seatrial fuzz diff` prints it
# reason     why it is so, and who is right; entries that were added by --write-baseline want one
"""


def read(path: str) -> dict[str, dict[str, Any]]:
    """The entries by identity; EnvironmentProblem when the file cannot be read or has other tables or members."""
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"{path}: {error}") from error
    if set(data) - {"known"} or not isinstance(data.get("known", []), list):
        raise EnvironmentProblem(f"{path}: only [[known]] tables are expected")
    found = {}
    for number, entry in enumerate(data.get("known", []), 1):
        if not isinstance(entry.get("identity"), str) or not set(entry) <= {"identity", "reason", "link"}:
            raise EnvironmentProblem(f"{path}: entry {number} needs `identity`, and may have `reason` and `link`")
        found[entry["identity"]] = entry
    return found


def write(path: str, known: dict[str, dict[str, Any]], new: Iterable[dict[str, Any]]) -> int:
    """Write the file with what it had and what is new; how many are new."""
    entries = dict(known)
    added = 0
    for divergence in new:
        if divergence["identity"] not in entries:
            reason = "; ".join(divergence["verdict"])
            entries[divergence["identity"]] = {"identity": divergence["identity"], "reason": reason}
            added += 1
    text = HEAD
    for _, entry in sorted(entries.items()):
        text += "\n[[known]]\n" + "".join(
            f"{name} = {_string(entry[name])}\n" for name in ("identity", "reason", "link") if entry.get(name)
        )
    draft = path + ".new"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(draft, path)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error
    return added


def _string(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own, DEL apart."""
    return json.dumps(text).replace("\x7f", "\\u007f")
