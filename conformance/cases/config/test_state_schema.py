"""Types of the members of the state (schema/state-schema.json), from the state command and on the standard input of
every hook."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import HOOK_KINDS, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding

STATUSES = ("creating", "created", "running", "stopped")
ANNOTATIONS = {"org.example.key": "value", "org.example.empty": ""}


def _string(value: Any) -> bool:
    return isinstance(value, str)


def _pid(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _string_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


MEMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "ociVersion": ("oci-version", _string),
    "id": ("id", _string),
    "status": ("status", lambda value: value in STATUSES),
    "pid": ("pid", _pid),
    "bundle": ("bundle", _string),
    "annotations": ("annotations", _string_map),
}
ALWAYS = ("ociVersion", "id", "status", "bundle")  # the schema requires these
_documents: dict[str, dict[str, Any]] = {}


def documents(runtime: Runtime, make_bundle: Callable[[], Bundle]) -> dict[str, Any]:
    """The states seen in one container's life: from the command, by status, and by every hook.  Gathered once."""
    if runtime.path not in _documents:
        _documents[runtime.path] = gather(runtime, make_bundle())
    return _documents[runtime.path]


def gather(runtime: Runtime, bundle: Bundle) -> dict[str, Any]:
    """Take one container through its life and collect its states."""
    bundle.config["annotations"] = dict(ANNOTATIONS)
    files = {}
    for kind in HOOK_KINDS:
        inside = kind == "startContainer"
        files[kind] = os.path.join(bundle.rootfs, kind) if inside else bundle.outside(kind)
        bundle.hook(kind, "state-to", f"/{kind}" if inside else files[kind])
    bundle.probe("hold", report=False)
    container = runtime.create(bundle)
    found = {"created": container.state()}
    container.start()
    container.wait_status("running")
    found["running"] = container.state()
    container.kill("KILL")
    container.wait_status("stopped")
    found["stopped"] = container.state()
    container.delete()
    for kind, path in files.items():
        try:
            with open(path, "rb") as file:
                found[f"stdin of {kind}"] = json.loads(file.read())
        except (OSError, ValueError) as error:
            raise Finding(f"no state on the standard input of the {kind} hook: {error}") from error
    return found


@pytest.mark.parametrize(
    "member",
    [pytest.param(name, marks=covers(f"schema-state-schema/state/{row}")) for name, (row, _) in MEMBERS.items()],
)
def test_state_members_have_their_types(runtime: Runtime, make_bundle: Callable[[], Bundle], member: str) -> None:
    """Every state, printed or given to a hook, has members of the schema's types: runtime.md#state."""
    matches = MEMBERS[member][1]
    states = documents(runtime, make_bundle)
    assert member in states["created"]
    for where, state in states.items():
        assert isinstance(state, dict), f"{where}: the state is no object: {state!r}"
        if member in state or member in ALWAYS:
            assert matches(state.get(member)), f"{where}: {member} is {state.get(member)!r}"
