"""The standard streams of a restored container: a new terminal's other end, new pipes.  As engines rely on it."""

from __future__ import annotations

import os
import select

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding

pytestmark = [CHECKPOINTS, profile("runc-compat")]


@needs("tty")
@covers("config/process/4", "runtime/state/7")
def test_terminal(runtime: Runtime, bundle: Bundle) -> None:
    """The process has its controlling terminal again, with its settings and size; the master of it comes over the new
    console socket."""
    bundle.process["terminal"] = True
    with ConsoleSocket(bundle.outside("first")) as first, ConsoleSocket(bundle.outside("second")) as second:
        trip = Trip(runtime, bundle, "terminal", "speaker").start(console_socket=first.path)
        first.receive().read_until("spoken")
        trip.checkpoint()
        trip.restore(console_socket=second.path)
        terminal = second.receive(timeout=runtime.timeout)
        assert terminal.size() == (33, 77)
        trip.after = trip.ask()
        trip.judge()
        terminal.read_until("spoken")


@covers("runtime/state/7")
def test_pipes(runtime: Runtime, bundle: Bundle) -> None:
    """Pipes from outside are replaced by those that restore is given, as by an engine that has been started anew."""
    input, before, after = os.pipe(), os.pipe(), os.pipe()
    try:
        trip = Trip(runtime, bundle, "speaker").start(stdin=input[0], output=before[1])
        assert said(before[0], runtime.timeout).endswith("spoken\n")
        trip.checkpoint()
        trip.restore(stdin=input[0], output=after[1])
        trip.after = trip.ask()
        trip.judge()
        assert said(after[0], runtime.timeout) == "spoken\n"
    finally:
        for number in (*input, *before, *after):
            os.close(number)


def said(pipe: int, timeout: float) -> str:
    """What has been written into a pipe; Finding when nothing comes."""
    if not select.select([pipe], [], [], timeout)[0]:
        raise Finding("nothing came through the pipe")
    return os.read(pipe, 1 << 20).decode("utf-8", "replace")
