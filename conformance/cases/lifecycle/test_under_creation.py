"""runtime.md#state: a container whose create has not finished, and what others may do with it meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

SECONDS = 8.0


@contextlib.contextmanager
def half_made(runtime: Runtime, bundle: Bundle) -> Iterator[list[Container]]:
    """A with block during which a createRuntime hook keeps create waiting; the container is in the list afterwards."""
    ready, go = bundle.outside("ready"), bundle.outside("go")
    bundle.hook("createRuntime", "touch", ready, "--", "wait-file", go, str(int(patience(SECONDS))))
    bundle.probe("hold", report=False)
    made: list[Container] = []
    thread = threading.Thread(target=lambda: made.append(runtime.create(bundle, check=False)))
    thread.start()
    try:
        deadline = time.monotonic() + patience(SECONDS)
        while not os.path.exists(ready):
            if not thread.is_alive() or time.monotonic() > deadline:
                raise Finding("the createRuntime hook did not run")
            time.sleep(0.002)
        yield made
    finally:
        with open(go, "w", encoding="ascii"):
            pass
        thread.join()


@needs("hooks")
@covers("runtime/state/5")
def test_status_is_creating(runtime: Runtime, bundle: Bundle) -> None:
    """`state` knows nothing of the container yet, or says `creating`; it is neither created nor stopped."""
    with half_made(runtime, bundle) as made:
        result = runtime.state(bundle.name)
        if result.ok:
            assert json.loads(result.stdout)["status"] == "creating"
    made[0].created.check()
    assert made[0].status() == "created"


@needs("hooks")
@covers("runtime/start/2", "runtime/start/3", "runtime/delete/2", "runtime/delete/3")
def test_start_and_delete_are_refused(runtime: Runtime, bundle: Bundle) -> None:
    """Neither start nor delete takes a container that is not made yet; create goes on as if nobody had asked."""
    with half_made(runtime, bundle) as made:
        started = runtime.command("start", bundle.name)
        deleted = runtime.command("delete", bundle.name)
        assert not started.ok, started.describe()
        assert not deleted.ok, deleted.describe()
    made[0].created.check()
    assert made[0].status() == "created"
    made[0].start()
    made[0].wait_output('"verb":"hold"')
