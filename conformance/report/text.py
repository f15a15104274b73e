"""Text of a runtime, made fit to be shown: it may hold anything."""

from __future__ import annotations

import re
from typing import Any

# What a terminal, an XML parser or the eye of a reader would take for something else: control characters but tab and
# newline, the non-characters, lone surrogates, and the marks that turn the direction of writing.
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """The text with each character that must not reach a terminal or an XML parser written as a Python escape."""
    return UNFIT.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: str) -> str:
    """The same on one line."""
    return visible(" ".join(text.split("\n"))).replace("\t", " ")


def flatten(stamp: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """("runtime.digest", "sha256:...") pairs of a nested stamp; nulls are left out."""
    found: list[tuple[str, str]] = []
    for name, value in stamp.items():
        if isinstance(value, dict):
            found += flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found.append((prefix + name, " ".join(str(item) for item in value)))
        elif value is not None:
            found.append((prefix + name, str(value)))
    return found
