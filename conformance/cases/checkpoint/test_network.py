"""Sockets of a checkpointed container in a network namespace that outlives it, as engines make one.

A network namespace of the container's own comes back empty: devices and addresses are the engine's business (runc's
`--empty-ns network` is always on).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.cases.checkpoint.network import LastingNetwork
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip, wants_flag
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


def test_socket_outside_of_the_container(network: LastingNetwork, runtime: Runtime, bundle: Bundle) -> None:
    """A datagram socket that is connected to a socket of the host, such as that of a log: with --ext-unix-sk it is so
    afterwards; without, the checkpoint fails, and the container runs on."""
    wants_flag(runtime, "checkpoint", "ext-unix-sk")
    directory = bundle.outside("outside")
    os.mkdir(directory)
    bundle.mount(directory, "bind", directory, "rbind", "rw")  # the socket's name is the same inside: CRIU goes by it
    os.symlink(directory, f"{bundle.rootfs}/outside")
    with network.datagrams(f"{directory}/socket") as log:
        log.settimeout(runtime.timeout)
        trip = Trip(runtime, bundle.namespace("network", network.path), "outside-socket").start()
        trip.refused_without_flags()
        trip.restore()
        trip.after = trip.ask()
        trip.judge()
        assert [log.recv(100) for _ in range(3)] == [b"here"] * 3  # before, after the refusal, after restore
