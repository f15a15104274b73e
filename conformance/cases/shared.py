"""One container for many cases: it is there before each of them and after it, and none of them changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance import plugin
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import alive


@contextlib.contextmanager
def lasting(config: pytest.Config, make: Callable[[Runtime, Bundle], Container]) -> Iterator[Container]:
    """For a fixture of scope "module": the container that `make` creates from a bundle of its own, deleted at the end.
    A fixture of a single case has to be made after it, so that the watch for leaks counts it as there before.  Finding
    when it cannot be made."""
    session = plugin.session_of(config)
    bundle = session.workshop.bundle()
    runtime = session.runtime
    container: Container | None = None
    before = len(runtime.containers)
    try:
        container = make(runtime, bundle)
        yield container
    finally:
        for made in runtime.containers[before:] if container is None else [container]:
            made.discard()
        session.workshop.remove(bundle)


def fixtures(make: Callable[[Runtime, Bundle], Container]) -> tuple[object, object]:
    """The fixtures `lasting_container` and `container` for a conftest.py: the container of a module, which `make`
    creates, and the same for a case, or one of the case's own where an earlier case has lost it."""

    @pytest.fixture(scope="module")
    def lasting_container(request: pytest.FixtureRequest) -> Iterator[Container]:
        """The container that outlives the cases."""
        with lasting(request.config, make) as container:
            yield container

    @pytest.fixture
    def container(lasting_container: Container, runtime: Runtime, make_bundle: Callable[[], Bundle]) -> Container:
        """The module's container; one of the case's own where an earlier case has lost it."""
        if alive(lasting_container.pid):  # a runtime under test may have ended it in an earlier case
            return bring_in(runtime, lasting_container)
        return make(runtime, make_bundle())

    return lasting_container, container


def bring_in(runtime: Runtime, container: Container) -> Container:
    """The same container for the runtime of a case: its creation comes first in the journal, and so in the evidence."""
    runtime.journal.insert(0, container.created)
    return container
