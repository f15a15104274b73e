"""Argument types that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from seatrial.conformance.errors import EnvironmentProblem

FORMATS = ("html", "junit", "tap", "json")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 is expected")
    return int(text)


def report(text: str) -> tuple[str, str]:
    """FORMAT=PATH as (format, path)."""
    form, equals, path = text.partition("=")
    if form not in FORMATS or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected FORMAT=PATH with one of {', '.join(FORMATS)}")
    return form, path


def check_writable(reports: Sequence[tuple[str, str]]) -> None:
    """EnvironmentProblem unless the directory of each report exists: to be told after the run would be late."""
    for _, path in reports:
        directory = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(directory):
            raise EnvironmentProblem(f"no directory {directory} for the report {path}")
