"""Without --root: the runtime keeps its containers where its next invocation looks for them, whoever calls it."""

from __future__ import annotations

import json
import os

from seatrial.conformance.case import covers, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime


@profile("runc-compat")
@covers("runtime/create/7", "runtime/state/2")
def test_state_is_kept_in_one_place(runtime: Runtime, bundle: Bundle) -> None:
    """create, state, start, kill and delete from different working directories speak of the same container."""
    bundle.probe("hold", report=False).write()
    elsewhere = bundle.outside("elsewhere")
    os.mkdir(elsewhere)
    runtime.command("create", "--bundle", bundle.path, bundle.name, root=False, cwd=elsewhere).check()
    try:
        assert os.listdir(elsewhere) == []
        state = json.loads(runtime.command("state", bundle.name, root=False, cwd="/").check().stdout)
        assert (state["id"], state["status"]) == (bundle.name, "created")
        assert not runtime.state(bundle.name).ok, "it is among those of another --root too"
        runtime.command("start", bundle.name, root=False, cwd=bundle.path).check()
        state = json.loads(runtime.command("state", bundle.name, root=False).check().stdout)
        assert state["status"] == "running"
    finally:
        runtime.command("delete", "--force", bundle.name, root=False, cwd="/")
    assert not runtime.command("state", bundle.name, root=False, cwd=elsewhere).ok
