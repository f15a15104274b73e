"""NOTIFY_SOCKET: the runtime-spec is silent; service managers rely on what runc does (sd_notify(3))."""

from __future__ import annotations

import array
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from seatrial.conformance.case import covers, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

PATIENCE = 3.0


@pytest.fixture
def manager(bundle: Bundle) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(bundle.outside("manager"))
        made.settimeout(0.05)
        yield made


def messages(manager: socket.socket, start: threading.Thread, seconds: float = PATIENCE) -> list[str]:
    """What comes to the manager until start has returned; a barrier is acknowledged by closing its descriptor."""
    found: list[str] = []
    deadline = time.monotonic() + patience(seconds)
    while True:
        ended = not start.is_alive()
        try:
            data, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
        except TimeoutError:
            if ended:
                return found
            if time.monotonic() > deadline:
                raise Finding(f"start does not return; to NOTIFY_SOCKET came {found}") from None
            continue
        for _, _, raw in control:
            os.close(array.array("i", raw)[0])
        found += data.decode("utf-8", "replace").split()


def say(container: Container, message: bytes) -> None:
    """Send a message as the program would: to the socket that its environment names."""
    with open(f"/proc/{container.pid}/environ", "rb") as file:
        variables = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
    path = variables.get(b"NOTIFY_SOCKET", b"").decode()
    if not path.startswith("/"):
        raise Finding(f"NOTIFY_SOCKET of the program is {path!r}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
        program.connect(f"/proc/{container.pid}/root{path}")
        program.send(message)


@profile("runc-compat")
@covers("runtime/start/7")
def test_start_returns_when_the_program_is_ready(runtime: Runtime, bundle: Bundle, manager: socket.socket) -> None:
    """Until then start waits; the manager hears of it, and of the pid of the container's init."""
    env = {"NOTIFY_SOCKET": bundle.outside("manager")}
    container = runtime.create(bundle.probe("print here -- hold", report=False), env=env)
    pid = container.pid
    start = threading.Thread(target=lambda: runtime.command("start", container.id, env=env))
    start.start()
    try:
        container.wait_output("here")
        time.sleep(0.2)
        waited = start.is_alive()
        say(container, b"STATUS=nearly")
        say(container, b"READY=1")
        heard = messages(manager, start)
    finally:
        container.kill("KILL", check=False)
        start.join(patience(PATIENCE))
    assert waited
    assert {"READY=1", f"MAINPID={pid}"} <= set(heard)


@profile("runc-compat")
@covers("runtime/start/7")
def test_ready_may_be_one_of_several_lines(runtime: Runtime, bundle: Bundle, manager: socket.socket) -> None:
    """A datagram has a variable a line, in any order (sd_notify(3))."""
    env = {"NOTIFY_SOCKET": bundle.outside("manager")}
    container = runtime.create(bundle.probe("print here -- hold", report=False), env=env)
    start = threading.Thread(target=lambda: runtime.command("start", container.id, env=env))
    start.start()
    try:
        container.wait_output("here")
        say(container, b"STATUS=nearly\nREADY=1\nERRNO=0")
        heard = messages(manager, start, 1.5)
    finally:
        container.kill("KILL", check=False)
        start.join(patience(PATIENCE))
    assert "READY=1" in heard
