"""config-linux.md#mount-label on a host without SELinux: a label that means nothing is an error (runc's practice)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine.needs import unmet

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


@profile("runc-compat")
@pytest.mark.parametrize("left", [None, ("proc",)], ids=["all mounts", "no mount that takes a label"])
@covers("runtime/create/11", "config/valid-values/2")
def test_is_refused(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], left: tuple[str, ...] | None
) -> None:
    """Whoever asks for a label does not get unlabelled mounts instead, whatever is mounted."""
    if unmet("selinux") is None:
        pytest.skip("this host has SELinux")
    if left is not None:
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if entry.get("type") in left]
        bundle.linux.pop("maskedPaths", None)  # runtimes cover directories by a tmpfs
    bundle.linux["mountLabel"] = LABEL
    rejected(runtime, bundle)
