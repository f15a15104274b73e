"""runtime.md#lifecycle: what a hook's failure does to the operation and to the container."""

from __future__ import annotations

import json
import os
import time

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.lifecycle.surroundings import groups_of
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience

AT_CREATE = {"prestart": 7, "createRuntime": 11, "createContainer": 15}  # the first of three ledger rows for each
AT_START = {"startContainer": 19, "poststart": 23}


def rows(kinds: dict[str, int], offset: int) -> list[object]:
    """One parameter for each kind of hook, marked with its ledger row."""
    return [
        pytest.param(kind, marks=covers(f"runtime/lifecycle/{first + offset}"), id=kind)
        for kind, first in kinds.items()
    ]


def prepare(bundle: Bundle, kind: str) -> None:
    """First a hook of the kind that saves its state, then one that fails, and a poststop hook that leaves a mark.
    startContainer hooks run inside: their file is in the rootfs."""
    bundle.hook(kind, "state-to", "/state" if kind == "startContainer" else bundle.outside("state"))
    bundle.hook(kind, "fail", "3")
    bundle.hook("poststop", "append", bundle.outside("stopped"), "ran")
    bundle.probe("append /marker ran -- hold", report=False)


def fail_at_create(runtime: Runtime, bundle: Bundle, kind: str) -> Container:
    runtime.prove_sane()
    prepare(bundle, kind)
    container = runtime.create(bundle, check=False)
    assert not container.created.ok, container.created.describe()
    assert os.path.exists(bundle.outside("state")), "the hook before the failing one did not run"
    return container


def fail_at_start(runtime: Runtime, bundle: Bundle, kind: str) -> tuple[Container, int]:
    prepare(bundle, kind)
    container = runtime.create(bundle)
    pid = container.pid
    result = container.start(check=False)
    saved = os.path.join(bundle.rootfs, "state") if kind == "startContainer" else bundle.outside("state")
    assert os.path.exists(saved), "the hook before the failing one did not run"
    assert not result.ok, result.describe()
    return container, pid


def gone(pid: int, rootfs: str, seconds: float = 2.0) -> bool:
    """Whether the process has left the rootfs: ended, a zombie, or another process by now."""
    probe = os.stat(os.path.join(rootfs, "probe"))
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline:
        try:
            seen = os.stat(f"/proc/{pid}/root/probe")
            if seen.st_ino != probe.st_ino:
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_CREATE, 0))
def test_failing_hook_fails_create(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """A hook that fails before create is done makes create fail (runtime.md#lifecycle)."""
    fail_at_create(runtime, bundle, kind)


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_CREATE, 1))
def test_failing_hook_at_create_stops_the_container(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """After the failed create the container's process is gone and the program never ran (runtime.md#lifecycle)."""
    fail_at_create(runtime, bundle, kind)
    with open(bundle.outside("state"), encoding="utf-8") as file:
        state = json.load(file)
    pid = state.get("pid", 0)
    if kind != "createContainer" and pid > 0:  # createContainer hooks see the container's own number
        assert gone(pid, bundle.rootfs)
    assert groups_of(bundle.name) == []
    assert not os.path.exists(os.path.join(bundle.rootfs, "marker"))


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_CREATE, 2))
def test_failing_hook_at_create_destroys_the_container(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """After the failed create: no state, no cgroup, and the poststop hooks have run (runtime.md#lifecycle)."""
    container = fail_at_create(runtime, bundle, kind)
    assert not runtime.state(container.id).ok
    assert groups_of(bundle.name) == []
    assert os.path.exists(bundle.outside("stopped")), "the poststop hook did not run"


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_START, 0))
def test_failing_hook_fails_start(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """A startContainer or poststart hook that fails makes start fail (runtime.md#lifecycle)."""
    fail_at_start(runtime, bundle, kind)


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_START, 1))
def test_failing_hook_at_start_stops_the_container(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """After the failed start the container's process is gone (runtime.md#lifecycle)."""
    _, pid = fail_at_start(runtime, bundle, kind)
    assert gone(pid, bundle.rootfs)
    if kind == "startContainer":
        assert not os.path.exists(os.path.join(bundle.rootfs, "marker"))


@needs("hooks")
@pytest.mark.parametrize("kind", rows(AT_START, 2))
def test_failing_hook_at_start_destroys_the_container(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """After the failed start: no state, no cgroup, and the poststop hooks have run (runtime.md#lifecycle)."""
    container, _ = fail_at_start(runtime, bundle, kind)
    assert not runtime.state(container.id).ok
    assert groups_of(bundle.name) == []
    assert os.path.exists(bundle.outside("stopped")), "the poststop hook did not run"


ALL = {"prestart": 6, "createRuntime": 10, "createContainer": 14, "startContainer": 18, "poststart": 22}


@needs("hooks")
@pytest.mark.parametrize("kind", rows(ALL, 0))
def test_every_hook_of_a_list_runs_by_the_end_of_start(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """Each hook of the list has run once, in order, when start returns (runtime.md#lifecycle)."""
    inside = kind == "startContainer"
    path = "/marks" if inside else bundle.outside("marks")
    for mark in ("a", "b", "c"):
        bundle.hook(kind, "append", path, mark)
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output("hold")
    with open(os.path.join(bundle.rootfs, "marks") if inside else path, encoding="utf-8") as file:
        assert file.read().replace("\n", "") == "abc"


def stopped(runtime: Runtime, bundle: Bundle) -> Container:
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    return container


@needs("hooks")
@covers("runtime/lifecycle/29")
def test_every_poststop_hook_runs_by_the_end_of_delete(runtime: Runtime, bundle: Bundle) -> None:
    """Each poststop hook has run once, in order, when delete returns, and not before (runtime.md#lifecycle)."""
    for mark in ("a", "b", "c"):
        bundle.hook("poststop", "append", bundle.outside("marks"), mark)
    container = stopped(runtime, bundle)
    assert not os.path.exists(bundle.outside("marks"))
    container.delete()
    with open(bundle.outside("marks"), encoding="utf-8") as file:
        assert file.read().replace("\n", "") == "abc"


@needs("hooks")
@covers("runtime/lifecycle/30")
def test_failing_poststop_hook_is_a_warning(runtime: Runtime, bundle: Bundle) -> None:
    """delete logs a warning about the failing poststop hook (runtime.md#lifecycle)."""
    bundle.hook("poststop", "fail", "3")
    container = stopped(runtime, bundle)
    log = bundle.outside("log")
    result = runtime.command("--log", log, "--log-format", "json", "delete", container.id)
    text = result.stderr
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            text += file.read()
    assert "hook" in text.lower() or "poststop" in text.lower(), f"no warning names the hook: {text!r}"


@needs("hooks")
@covers("runtime/lifecycle/31")
def test_failing_poststop_hook_stops_nothing(runtime: Runtime, bundle: Bundle) -> None:
    """delete succeeds, the remaining poststop hooks run, the container is gone (runtime.md#lifecycle)."""
    bundle.hook("poststop", "fail", "3")
    bundle.hook("poststop", "append", bundle.outside("marks"), "ran")
    container = stopped(runtime, bundle)
    result = container.delete(check=False)
    assert os.path.exists(bundle.outside("marks")), "the hook after the failing one did not run"
    assert not runtime.state(container.id).ok
    assert result.ok, result.describe()
