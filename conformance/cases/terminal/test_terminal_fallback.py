"""The terminal of a container's own process on kernels without clone3(2), where runtimes try twice to start it."""

from __future__ import annotations

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = [needs("root", "tty"), profile("runc-compat")]


@covers("config/process/4")
@pytest.mark.parametrize("mask", ["no-clone3", "no-clone-into-cgroup", "clone3-eperm"])
def test_console_socket(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket, mask: str) -> None:
    """create sends the terminal that the program gets, and only that one."""
    bundle.process["terminal"] = True
    bundle.probe("tty-info")
    with runtime.masked(mask):
        container = runtime.create(bundle, console_socket=listener.path)
        terminal = listener.receive()
        container.start()
    report = parse(terminal.read_to_end())
    assert not listener.waiting()
    info = report.verbs[0].value
    assert [stream["tty"] for stream in info["streams"]] == [True] * 3
    assert info["controlling"] is True
