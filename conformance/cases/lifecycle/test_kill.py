"""runtime.md#kill: signals reach the process of a created or running container, and nobody else."""

from __future__ import annotations

import json
import signal

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime


@pytest.mark.parametrize("words", [pytest.param([], id="no id"), pytest.param([""], id="empty id")])
@covers("runtime/kill/1")
def test_kill_wants_an_id(runtime: Runtime, words: list[str]) -> None:
    """kill without an id is an error (runtime.md#kill)."""
    runtime.prove_sane()
    result = runtime.command("kill", *words)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()


@pytest.mark.parametrize("name", ["TERM", "KILL", "0"])
@covers("runtime/kill/2", "runtime/kill/3")
def test_kill_of_a_stopped_container_is_refused_and_has_no_effect(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """kill of a stopped container fails and changes nothing (runtime.md#kill)."""
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    before = container.state()
    result = container.kill(name, check=False)
    assert not result.ok, result.describe()
    assert container.state() == before


@pytest.mark.parametrize("kind", ["never created", "deleted"])
@covers("runtime/kill/4")
def test_kill_of_an_unknown_container_is_refused(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """kill of an id without a container fails (runtime.md#kill)."""
    runtime.prove_sane()
    if kind == "deleted":
        container = runtime.create(bundle.probe("exit 0", report=False))
        container.start()
        container.wait_status("stopped")
        container.delete()
    result = runtime.command("kill", bundle.name, "KILL")
    assert not result.ok, result.describe()


SIGNALS = ["HUP", "INT", "USR1", "USR2", "CONT", str(int(signal.SIGRTMIN) + 1), str(int(signal.SIGWINCH))]


@pytest.mark.parametrize("name", SIGNALS)
@covers("runtime/kill/5", "runtime/operations/4")
def test_kill_sends_exactly_that_signal(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """The signal asked for arrives once, and no other (runtime.md#kill)."""
    container = runtime.create(bundle.probe("signal-log 10 --until TERM", report=False))
    container.start()
    container.wait_output('"ready"')
    number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
    container.kill(name)
    container.wait_output(f'"number":{number},')
    container.kill("TERM")
    container.wait_status("stopped")
    lines = [json.loads(line) for line in container.output().splitlines()]
    numbers = [line["value"]["number"] for line in lines if line["verb"] == "signal"]
    assert numbers == [number, int(signal.SIGTERM)]


@covers("runtime/kill/6")
def test_kill_ends_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    """SIGKILL before start leads to `stopped`; start then fails (runtime.md#kill)."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.kill("KILL")
    container.wait_status("stopped")
    assert not container.start(check=False).ok


@covers("runtime/kill/5")
@pytest.mark.parametrize("name", ["NOSUCH", "-1", "1000"])
def test_kill_refuses_what_is_no_signal(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """A signal that does not exist is an error and reaches nobody (runtime.md#kill)."""
    container = runtime.create(bundle.probe("signal-log 10 --until TERM", report=False))
    container.start()
    container.wait_output('"ready"')
    result = runtime.command("kill", container.id, name)
    assert not result.ok, result.describe()
    assert container.status() == "running"
    assert '"verb":"signal",' not in container.output()
