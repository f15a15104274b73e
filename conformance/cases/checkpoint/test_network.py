"""Sockets of a checkpointed container in a network namespace that outlives it, as engines make one.

A network namespace of the container's own comes back empty: devices and addresses are the engine's business (runc's
`--empty-ns network` is always on).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.cases.checkpoint.network import LastingNetwork
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime

pytestmark = [
    CHECKPOINTS,
    needs("program:ip", "program:unshare"),
    profile("runc-compat"),
    covers("runtime/state/7", "config-linux/namespaces/12"),
]


@pytest.fixture
def network() -> Iterator[LastingNetwork]:
    """The namespace."""
    with LastingNetwork() as lasting:
        yield lasting


@pytest.mark.parametrize("kind", ["tcp-listener", "udp", "tcp"])
def test_sockets_are_as_before(network: LastingNetwork, runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """They are bound, connected and usable (--tcp-established for connections), and the namespace is the same, with its
    devices and addresses."""
    trip = Trip(runtime, bundle.namespace("network", network.path), kind).start()
    with trip.attributed():
        trip.there_and_back()
        trip.judge()
        law.hold(trip.before, trip.after, "interfaces", "addresses")
    assert trip.after.namespace("net") == trip.before.namespace("net")


def test_connections_are_refused_without_the_flag(network: LastingNetwork, runtime: Runtime, bundle: Bundle) -> None:
    """The checkpoint fails, and the container runs on, its connections with it; with the flag it goes."""
    trip = Trip(runtime, bundle.namespace("network", network.path), "tcp").start()
    trip.refused_without_flags()
