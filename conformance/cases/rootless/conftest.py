"""The runtime as an ordinary user would start it: with one id, or with ranges of subordinate ids."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.ordinary import OrdinaryRuntime, Quarters
from seatrial.conformance.engine import needs
from seatrial.conformance.errors import Finding
from seatrial.conformance.plugin import session_of


@pytest.fixture(scope="session")
def quarters(request: pytest.FixtureRequest) -> Iterator[Callable[[bool], Quarters]]:
    """quarters(ranges): the place of the user without, or with, ranges of ids; made once."""
    made: dict[bool, Quarters] = {}
    session = session_of(request.config)
    if needs.unmet("root") is None and needs.unmet("program:nsenter") is None:
        for ranges in (False, True):
            made[ranges] = Quarters(session.directory, session.runtime.path, ranges=ranges)
    yield made.__getitem__
    for one in made.values():
        one.close()


@pytest.fixture
def hire(quarters: Callable[[bool], Quarters], runtime: Runtime) -> Iterator[Callable[..., OrdinaryRuntime]]:
    """hire(ranges=False): the runtime as a user starts it.  What its containers leave is a finding."""
    hired: list[OrdinaryRuntime] = []

    def start(ranges: bool = False) -> OrdinaryRuntime:
        place = quarters(ranges)
        mine = OrdinaryRuntime(runtime.path, place, f"st-{os.getpid()}-{place.uid}", timeout=runtime.timeout)
        mine.journal = runtime.journal  # the case's, for its evidence
        before.append((place, place.mounts()))
        hired.append(mine)
        return mine

    before: list[tuple[Quarters, list[str]]] = []
    yield start
    for one in hired:
        for container in reversed(one.containers):
            container.discard()
        for bundle in one.bundles:
            one.workshop.remove(bundle)
        runtime.seconds += one.seconds
    left = [f"state entry {name}" for one in hired for name in os.listdir(one.root)]
    left += [f"mount {path}" for place, mounts in before for path in set(place.mounts()) - {*mounts}]
    if left:
        raise Finding("left behind by the user's runtime: " + "; ".join(left))


@pytest.fixture
def user(hire: Callable[..., OrdinaryRuntime]) -> OrdinaryRuntime:
    """The runtime as a user with one id starts it."""
    return hire()


@pytest.fixture
def mine(user: OrdinaryRuntime) -> Bundle:
    """A bundle of the user's, with the config that engines send for one."""
    return user.workshop.bundle()
