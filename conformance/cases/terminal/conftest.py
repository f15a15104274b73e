"""A running container in which cases execute programs with terminals, and a console socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seatrial.conformance.cases import shared
from seatrial.conformance.cases.exec.executing import held
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Container, Runtime

LINES = "".join(f"{number:07d} " for number in range(125000))  # 1,000,000 bytes, each place with another neighbour


def make(runtime: Runtime, bundle: Bundle) -> Container:
    """A container that has a terminal for everybody who asks, and long files to show on it."""
    bundle.file("/long", LINES)
    bundle.file("/short", LINES[:30000])
    return held(runtime, bundle)


lasting_container, container = shared.fixtures(make)


@pytest.fixture
def listener(bundle: Bundle) -> Iterator[ConsoleSocket]:
    """A console socket in the bundle's directory."""
    with ConsoleSocket(bundle.outside("console")) as made:
        yield made
