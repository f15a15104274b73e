"""config.md#createruntime-hooks, #prestart: before the root changes, however it is changed."""

from __future__ import annotations

import json

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime


@needs("root", "hooks")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("prestart", marks=covers("config/prestart/3")),
        pytest.param("createRuntime", marks=covers("config/createruntime-hooks/3")),
    ],
)
def test_hook_comes_before_chroot(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """Without a mount namespace of its own the process gets its root by chroot(2), after the hook: the hook finds it
    in the runtime's root."""
    bundle.without_namespace("mount")
    bundle.config["mounts"] = []
    for member in ("maskedPaths", "readonlyPaths"):
        bundle.linux.pop(member, None)
    path = bundle.outside("record")
    bundle.hook(kind, "state-to", "--append", path, kind)
    container = runtime.create(bundle.probe("hold", report=False))
    with open(path, encoding="utf-8") as file:
        record = json.loads(file.readline())
    assert record["container"]["root"] == "/"  # the link in /proc, as the hook sees it
    container.start()
    container.wait_output('"verb":"hold"')
