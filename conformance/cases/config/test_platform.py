"""The linux object and those of other platforms (config.md#platform-specific-configuration)."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.config.visible import own_namespace, visible
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import execute
from seatrial.conformance.driver.probe import Report

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")  # config-linux.md#default-devices
OTHERS: dict[str, dict[str, Any]] = {
    "solaris": {"milestone": "svc:/milestone/container:default"},
    "windows": {"layerFolders": ["C:\\Layers\\layer1"]},
    "vm": {"kernel": {"path": "/boot/vmlinuz"}},
    "zos": {"namespaces": [{"type": "pid"}]},
    "freebsd": {"jail": {"hostname": "other"}},
}


@covers("config/platform-specific-configuration/1")
@needs("root", "program:unshare")
def test_runs_without_the_linux_object(runtime: Runtime, bundle: Bundle) -> None:
    """linux may be left out: no new namespaces then, and the default devices all the same.

    The runtime gets a mount namespace that goes away with it: it has to mount without one of the container's own.
    """
    del bundle.config["linux"], bundle.config["hostname"]
    bundle.config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    bundle.write()
    isolate = ["unshare", "--mount", "--propagation", "private"]
    command = [runtime.path, "--root", runtime.root, "run", "--bundle", bundle.path, bundle.name]
    result = execute(
        isolate + command,
        env=runtime.env,
        timeout=runtime.timeout,
        stdin=None,
        directory=runtime.directory,
        masks=runtime.masks,
    )
    runtime.journal.append(result)
    report = probe.parse(result.check().stdout, result)
    for name in ("pid", "net", "ipc", "uts", "user", "cgroup"):
        assert report.namespace(name) == own_namespace(name), f"the container has a {name} namespace of its own"
    for name in DEVICES:
        assert report.device(f"/dev/{name}")["type"] == "c"


@covers("config/platform-specific-configuration/2")
@pytest.mark.parametrize("platform", sorted(OTHERS))
def test_honours_linux_beside_other_platforms(
    runtime: Runtime, bundle: Bundle, default_report: Report, platform: str
) -> None:
    """The linux object is honoured; one of another platform beside it is ignored, or refused as unsupported
    (config.md#valid-values), but has no effect."""
    runtime.prove_sane()
    bundle.config[platform] = OTHERS[platform]
    container = runtime.create(bundle, check=False)
    if not container.created.ok:
        assert not container.created.crashed, container.created.describe()
        assert not runtime.state(container.id).ok
        return
    container.start()
    container.wait_status("stopped")
    assert visible(probe.parse(container.output())) == visible(default_report)
