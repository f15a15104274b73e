"""pause and resume: the runtime-spec is silent, engines rely on what runc does.  The freezer is the kernel's."""

from __future__ import annotations

import time

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.pause.activity import activity, below, computing, is_still, wait_gone, wait_moving
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime

PAUSES = needs("command:pause", "command:resume")


@PAUSES
@profile("runc-compat")
@covers("runtime/state/9", "runtime/state/10")
def test_paused_container_does_not_run(runtime: Runtime, bundle: Bundle) -> None:
    """When pause has returned nothing runs, and the status is `paused`, with the same pid; resume undoes it."""
    container = computing(runtime, bundle)
    pids = [container.pid, *below(container.pid)]
    wait_moving(pids)
    runtime.command("pause", container.id).check()
    assert is_still(pids)
    state = container.state()
    assert state["status"] == "paused"
    assert state["pid"] == container.pid
    assert is_still(pids)
    runtime.command("resume", container.id).check()
    assert container.status() == "running"
    wait_moving(pids)


@PAUSES
@profile("runc-compat")
@covers("runtime/state/9")
def test_created_container_can_be_paused(runtime: Runtime, bundle: Bundle) -> None:
    """Between create and start pause works; resume shows `created` again, and start works then."""
    container = runtime.create(bundle.probe("print here -- hold", report=False))
    runtime.command("pause", container.id).check()
    assert container.status() == "paused"
    runtime.command("resume", container.id).check()
    assert container.status() == "created"
    container.start()
    container.wait_output("here")


@PAUSES
@profile("runc-compat")
@covers("runtime/state/9")
def test_second_pause_changes_nothing(runtime: Runtime, bundle: Bundle) -> None:
    """Whether a runtime refuses it (runc) or not (crun): the container stays paused, and one resume is enough."""
    container = computing(runtime, bundle)
    pids = [container.pid, *below(container.pid)]
    runtime.command("pause", container.id).check()
    runtime.command("pause", container.id)
    assert container.status() == "paused"
    assert is_still(pids)
    runtime.command("resume", container.id).check()
    runtime.command("resume", container.id)
    assert container.status() == "running"
    wait_moving(pids)


@pytest.mark.parametrize("verb", ["pause", "resume"])
@PAUSES
@profile("runc-compat")
@covers("runtime/state/8")
def test_stopped_container_can_be_neither_paused_nor_resumed(runtime: Runtime, bundle: Bundle, verb: str) -> None:
    """It fails, and the container stays `stopped`."""
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    result = runtime.command(verb, container.id)
    assert not result.ok, result.describe()
    assert container.status() == "stopped"


@pytest.mark.parametrize("verb", ["pause", "resume", "ps"])
@needs("command:pause", "command:resume", "command:ps")
@profile("runc-compat")
@covers("runtime/query-state/2")
def test_unknown_container_is_an_error(runtime: Runtime, bundle: Bundle, verb: str) -> None:
    """No container of that id: the command fails."""
    runtime.prove_sane()
    result = runtime.command(verb, bundle.name)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()


@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "shared pids"])
@PAUSES
@profile("runc-compat")
@covers("runtime/kill/5")
def test_sigkill_ends_a_paused_container(runtime: Runtime, bundle: Bundle, own_pids: bool) -> None:
    """SIGKILL takes effect at once though the container is frozen, in every process of it."""
    if not own_pids:
        bundle.without_namespace("pid")
    container = computing(runtime, bundle)
    children = below(container.pid)
    runtime.command("pause", container.id).check()
    container.kill("KILL")
    container.wait_status("stopped")
    for pid in children:
        wait_gone(pid)
    container.delete()


@PAUSES
@profile("runc-compat")
@covers("runtime/kill/5")
def test_other_signals_wait_for_resume(runtime: Runtime, bundle: Bundle) -> None:
    """SIGTERM does not wake a paused container; after resume it arrives."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    runtime.command("pause", container.id).check()
    container.kill("TERM")
    assert is_still([container.pid])
    assert container.status() == "paused"
    runtime.command("resume", container.id).check()
    container.wait_status("stopped")


@PAUSES
@profile("runc-compat")
@covers("runtime/delete/3")
def test_paused_container_is_deleted_by_force_only(runtime: Runtime, bundle: Bundle) -> None:
    """delete refuses it and leaves it paused; delete --force takes it, without waiting for anybody to resume it."""
    container = computing(runtime, bundle)
    pids = [container.pid, *below(container.pid)]
    runtime.command("pause", container.id).check()
    assert not container.delete(check=False).ok
    assert container.status() == "paused"
    before = activity(pids)
    began = time.monotonic()
    container.delete(force=True)
    assert time.monotonic() - began < 8
    assert before
    for pid in pids:
        wait_gone(pid)


@PAUSES
@needs("exec")
@profile("runc-compat")
@covers("runtime/state/9")
def test_paused_container_takes_no_further_process(runtime: Runtime, bundle: Bundle) -> None:
    """exec fails instead of waiting; after resume it works."""
    container = computing(runtime, bundle)
    runtime.command("pause", container.id).check()
    assert not container.exec("/probe", "exit", "0", check=False).ok
    assert container.status() == "paused"
    runtime.command("resume", container.id).check()
    container.exec("/probe", "exit", "0")
