"""runtime.md#state and #query-state: what `state` says in each phase."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.engine.together import Part, together

SEMVER = re.compile(r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$")
PHASES = ("created", "running", "stopped")


def reach(runtime: Runtime, bundle: Bundle, phase: str) -> Container:
    """A container in one of the phases."""
    bundle.probe("hold", report=False)
    container = runtime.create(bundle)
    if phase != "created":
        container.start()
    if phase == "stopped":
        container.kill("KILL")
        container.wait_status("stopped")
    return container


States: TypeAlias = "dict[str, dict[str, Any]]"  # what state printed, by phase


def phases(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[States]:
    """One container, whose state is asked in each phase."""
    container = reach(runtime, bundle, "created")
    states = {"created": container.state()}
    container.start()
    container.wait_output("hold")
    states["running"] = container.state()
    container.kill("KILL")
    container.wait_status("stopped")
    states["stopped"] = container.state()
    for _ in verbs:
        yield copy.deepcopy(states)


@together(look=phases)
@pytest.mark.parametrize("phase", PHASES)
@covers("runtime/state/1")
def test_state_names_a_spec_version(bundle: Bundle, phase: str) -> Part:
    """ociVersion is a SemVer string in every phase (runtime.md#state)."""
    states = yield None
    version = states[phase].get("ociVersion")
    assert isinstance(version, str)
    assert SEMVER.match(version), version


@together(look=phases)
@pytest.mark.parametrize("phase", PHASES)
@covers("runtime/state/2")
def test_state_names_the_id(bundle: Bundle, phase: str) -> Part:
    """id is the id given at create (runtime.md#state)."""
    states = yield None
    assert states[phase].get("id") == bundle.name


@together(look=phases)
@covers("runtime/state/6", "runtime/operations/1", "runtime/operations/2")
def test_created_container_is_created(bundle: Bundle) -> Part:
    """After create the status is `created` (runtime.md#state)."""
    states = yield None
    assert states["created"].get("status") == "created"


@together(look=phases)
@covers("runtime/state/7", "runtime/operations/3")
def test_started_container_is_running(bundle: Bundle) -> Part:
    """After start, with a program that stays, the status is `running` (runtime.md#state)."""
    states = yield None
    assert states["running"].get("status") == "running"


@pytest.mark.parametrize("end", ["exit", "kill"])
@covers("runtime/state/8")
def test_ended_container_is_stopped(runtime: Runtime, bundle: Bundle, end: str) -> None:
    """After the program's end, by itself or by SIGKILL, the status is `stopped` until delete (runtime.md#state)."""
    bundle.probe("exit 0" if end == "exit" else "hold", report=False)
    container = runtime.create(bundle)
    assert container.status() == "created"
    container.start()
    if end == "kill":
        container.kill("KILL")
    container.wait_status("stopped")
    assert container.status() == "stopped"


@together(look=phases)
@covers("runtime/state/4", "runtime/state/9")
def test_plain_lifecycle_shows_specified_statuses_only(bundle: Bundle) -> Part:
    """created, running, stopped: in order, and nothing else (runtime.md#state)."""
    states = yield None
    assert [states[phase].get("status") for phase in PHASES] == ["created", "running", "stopped"]


@pytest.mark.parametrize("phase", ["created", "running"])
@covers("runtime/state/10")
def test_state_has_the_pid_of_a_live_container(runtime: Runtime, bundle: Bundle, phase: str) -> None:
    """pid is a positive integer, the one of --pid-file, and a process in the container's root (runtime.md#state)."""
    bundle.probe("hold", report=False)
    container = runtime.create(bundle, pid_file=bundle.outside("pid"))
    if phase == "running":
        container.start()
    pid = container.state().get("pid")
    assert type(pid) is int
    assert pid > 0
    with open(bundle.outside("pid"), encoding="ascii") as file:
        assert file.read().strip() == str(pid)
    inside = os.stat(f"/proc/{pid}/root/probe")
    outside = os.stat(os.path.join(bundle.rootfs, "probe"))
    assert (inside.st_dev, inside.st_ino) == (outside.st_dev, outside.st_ino)


@covers("runtime/state/13")
def test_state_has_the_absolute_bundle(runtime: Runtime, bundle: Bundle) -> None:
    """bundle is absolute even when create was given a relative path (runtime.md#state)."""
    bundle.probe("hold", report=False).write()
    parent, name = os.path.split(bundle.path)
    container = Container(runtime, bundle, bundle.name)
    runtime.containers.append(container)
    runtime.command("create", "--bundle", name, container.id, cwd=parent).check()
    shown = container.state().get("bundle")
    assert isinstance(shown, str)
    assert os.path.isabs(shown)
    assert os.path.realpath(shown) == os.path.realpath(bundle.path)


@together("annotations", look=phases)
@pytest.mark.parametrize("phase", PHASES)
@covers("runtime/state/14")
def test_state_carries_the_annotations(bundle: Bundle, phase: str) -> Part:
    """annotations equals the configured map (runtime.md#state)."""
    annotations = {"org.example.key": "value", "org.example.other": 'two words, "quoted" \\ and /'}
    bundle.config["annotations"] = annotations
    states = yield None
    assert states[phase].get("annotations") == annotations


@together(look=phases)
@covers("runtime/state/15")
def test_state_without_annotations(bundle: Bundle) -> Part:
    """Without annotations the member is absent or an empty map, never null or a list (runtime.md#state)."""
    bundle.config.pop("annotations", None)
    states = yield None
    state = states["created"]
    assert state.get("annotations", {}) == {}
    assert isinstance(state.get("annotations", {}), dict)


@together(look=phases)
@pytest.mark.parametrize("phase", PHASES)
@covers("runtime/query-state/3")
def test_state_is_one_document_with_the_specified_members(bundle: Bundle, phase: str) -> Part:
    """state prints one JSON object with ociVersion, id, status, bundle, and pid while there is a process
    (runtime.md#query-state)."""
    states = yield None
    state = states[phase]
    expected: dict[str, type] = {"ociVersion": str, "id": str, "status": str, "bundle": str}
    wrong = {name: state.get(name) for name, kind in expected.items() if not isinstance(state.get(name), kind)}
    assert wrong == {}
    assert state["status"] == phase
    pid: Any = state.get("pid", 0)
    assert (pid > 0) if phase != "stopped" else (pid in (0, -1) or pid > 0)


@pytest.mark.parametrize("words", [pytest.param([], id="no id"), pytest.param([""], id="empty id")])
@covers("runtime/query-state/1")
def test_state_refuses_to_guess_an_id(runtime: Runtime, words: list[str]) -> None:
    """state without an id is an error (runtime.md#query-state)."""
    runtime.prove_sane()
    result = runtime.command("state", *words)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()


@pytest.mark.parametrize("kind", ["never created", "deleted"])
@covers("runtime/query-state/2")
def test_state_of_an_unknown_container_is_an_error(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """state of an id without a container fails and prints no state (runtime.md#query-state)."""
    runtime.prove_sane()
    if kind == "deleted":
        container = reach(runtime, bundle, "stopped")
        container.state()
        container.delete()
    result = runtime.command("state", bundle.name)
    assert not result.ok, result.describe()
    assert '"status"' not in result.stdout


@covers("runtime/scope-of-a-container/1")
def test_every_operation_acts_on_the_created_container(runtime: Runtime, bundle: Bundle) -> None:
    """state, start, kill and delete, each with the id, act on the container from create
    (runtime.md#scope-of-a-container)."""
    bundle.probe("hold", report=False)
    container = runtime.create(bundle)
    pid = container.pid
    container.start()
    container.wait_output("hold")
    assert container.state().get("pid") == pid
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    assert not runtime.state(container.id).ok


@covers("runtime/state/3", "runtime/create/3", "runtime/create/4")
@pytest.mark.parametrize("phase", PHASES)
def test_an_id_in_use_is_refused(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], phase: str
) -> None:
    """A second create with an id in use fails and leaves the first container alone (runtime.md#create)."""
    container = reach(runtime, bundle, phase)
    before = container.state()
    other = make_bundle()
    other.probe("hold", report=False).write()
    result = runtime.command("create", "--bundle", other.path, container.id)
    assert not result.ok, result.describe()
    after = container.state()
    assert after == before
    if phase != "stopped":
        assert os.path.exists(f"/proc/{before['pid']}")
