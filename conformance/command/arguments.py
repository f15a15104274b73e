"""Argument types that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from seatrial.conformance.errors import EnvironmentProblem

VIEWS = ("auto", "host", "v1", "v2", "hybrid")
FORMATS = ("html", "junit", "tap", "json")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 is expected")
    return int(text)


def seconds(text: str) -> float:
    """A time above 0, in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: seconds above 0 are expected")
    return value


def duration(text: str) -> float:
    """A time above 0 in seconds: `90`, `90s`, `1.5m`, `8h`."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        return seconds(text[:-1] if unit else text) * (unit or 1)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text}: a time is expected, such as 90s, 10m or 8h") from None


def shard(text: str) -> str:
    """I/N with 1 <= I <= N."""
    part, _, whole = text.partition("/")
    if not (part.isdecimal() and whole.isdecimal() and 1 <= int(part) <= int(whole)):
        raise argparse.ArgumentTypeError(f"{text}: expected I/N with 1 <= I <= N")
    return text


def share(text: str) -> tuple[int, bool]:
    """A number of cases, or a percentage: (number, whether it is one)."""
    number = text.removesuffix("%")
    percent = text.endswith("%")
    if not number.isdecimal() or (percent and int(number) > 100):
        raise argparse.ArgumentTypeError(f"{text}: a number of cases or a percentage is expected, such as 500 or 80%")
    return int(number), percent


def report(text: str) -> tuple[str, str]:
    """FORMAT=PATH as (format, path)."""
    form, equals, path = text.partition("=")
    if form not in FORMATS or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected FORMAT=PATH with one of {', '.join(FORMATS)}")
    return form, path


def add_runs(parser: argparse.ArgumentParser, what: str, timeout: float, each: int = 1) -> None:
    """The options of a command that runs containers in the airlock: -n (`what` is side by side, by default `each` for
    a CPU that this process may use), --cgroup-view and --timeout (seconds by default)."""
    add = parser.add_argument
    help = f"{what} side by side (default: {f'{each} x ' if each > 1 else ''}CPUs)"
    add("-n", dest="workers", type=positive, default=each * len(os.sched_getaffinity(0)), metavar="N", help=help)
    add("--cgroup-view", choices=VIEWS, default="auto", help="as for check")
    help = f"for one invocation (default {timeout:g})"
    add("--timeout", type=seconds, default=timeout, metavar="SECONDS", help=help)


def check_writable(reports: Sequence[tuple[str, str]]) -> None:
    """EnvironmentProblem unless the directory of each report exists: to be told after the run would be late."""
    for _, path in reports:
        directory = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(directory):
            raise EnvironmentProblem(f"no directory {directory} for the report {path}")
