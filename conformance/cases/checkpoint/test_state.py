"""checkpoint and restore, as engines rely on them: what a process has, knows and waits for is as it was.

The runtime-spec is silent about checkpoints; that a restored container is a running one of its bundle is what it says
about every container.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip, round_trip, travel, wants_flag
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.engine.together import together

Part = Generator[str | None, Trip, None]
pytestmark = [CHECKPOINTS, profile("runc-compat"), covers("runtime/state/7", "runtime/scope-of-a-container/1")]

KINDS = [
    "memory",
    "threads",
    "processes",
    "pipes",
    "epoll",
    "eventfd",
    "inotify",
    "unix-sockets",
    "files",
    "unlinked-files",
    "interval-timers",
    "posix-timers",
    "timerfd",
    "signals",
    "shared-memory",
    "system-v",
    "terminal-pair",
    "attributes",
]


NETWORK = ["interfaces", "addresses"]  # see test_network.py
PARTS = {
    "mounts": ["mounts", "rootfs"],
    "descriptors": ["fds", "stdio"],
    "devices": ["devices"],
}


@together(look=round_trip)
@pytest.mark.parametrize("kind", KINDS)
def test_state_is_as_before(bundle: Bundle, kind: str) -> Part:
    """The workload finds what it found before."""
    trip = yield kind
    trip.judge(kind)


@together(look=round_trip)
@pytest.mark.parametrize("part", [*PARTS, "rest"])
def test_report_is_as_before(bundle: Bundle, part: str) -> Part:
    """A part of the probe's report obeys the law."""
    trip = yield "attributes"
    named = [name for names in PARTS.values() for name in names]
    trip.hold(*PARTS.get(part, law.remaining(trip.before, *NETWORK, *named)))


def test_file_locks_are_as_before(runtime: Runtime, bundle: Bundle) -> None:
    """With --file-locks."""
    travel(Trip(runtime, bundle, "file-locks"))


def test_file_locks_are_refused_without_the_flag(runtime: Runtime, bundle: Bundle) -> None:
    """The checkpoint fails, and the container runs on, its locks held; with the flag it goes."""
    Trip(runtime, bundle, "file-locks").start().refused_without_flags()


def test_file_with_another_name(runtime: Runtime, bundle: Bundle) -> None:
    """A file that has lost the name by which it was opened, and has another: with --link-remap it is the same file
    afterwards; without, the checkpoint fails, and the container runs on."""
    wants_flag(runtime, "checkpoint", "link-remap")
    trip = Trip(runtime, bundle, "linked-file").start()
    trip.refused_without_flags()
    with trip.attributed():
        trip.restore()
        trip.after = trip.ask()
        trip.judge()


@needs("cgroup2")
def test_stopped_process_stays_stopped(runtime: Runtime, bundle: Bundle) -> None:
    """(With the freezer of cgroup v1 CRIU waits for ever for a stopped process: ptrace(2) wants it to run once.)"""
    travel(Trip(runtime, bundle, "stopped-process"))


def test_all_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """Every kind in one process."""
    travel(Trip(runtime, bundle, *KINDS, "file-locks"))
