"""The runtime in a container of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import tail
from seatrial.conformance.driver.nesting import NestedRuntime, nest_bundle


@pytest.fixture
def outer_bundle(bundle: Bundle, runtime: Runtime) -> Bundle:
    """A bundle whose container can run the runtime; a case may change it."""
    return nest_bundle(bundle, runtime)


@pytest.fixture
def nest(outer_bundle: Bundle, runtime: Runtime) -> Iterator[Callable[[], NestedRuntime]]:
    """nest(): starts the outer container; the runtime in it.  Skips where the runtime does not start there at all."""
    made: list[NestedRuntime] = []

    def start() -> NestedRuntime:
        outer = runtime.create(outer_bundle)
        outer.start()
        outer.wait_output('"verb":"hold"')
        inner = NestedRuntime(outer, runtime)
        inner.journal = runtime.journal
        made.append(inner)
        trial = inner.command("--version", root=False)
        if not trial.ok:
            pytest.skip(f"program: the runtime does not start in a container: {tail(trial.stderr.strip(), 200)}")
        return inner

    yield start
    for inner in made:
        if inner.outer.alive:
            for container in reversed(inner.containers):
                container.discard()
        runtime.seconds += inner.seconds


@pytest.fixture
def inner(nest: Callable[[], NestedRuntime]) -> NestedRuntime:
    """The runtime in an outer container as nest_bundle() makes it."""
    return nest()


@pytest.fixture
def small(inner: NestedRuntime) -> Bundle:
    """A bundle for the inner runtime."""
    return inner.workshop.bundle()
