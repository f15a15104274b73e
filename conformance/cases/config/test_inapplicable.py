"""runtime.md#create: a property that cannot be applied is an error, and is not left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
MAJORS = 1 << 12  # of a dev_t: a larger number, cut to its 12 bits, is another device's


def without_mount_namespace(bundle: Bundle) -> Bundle:
    """A bundle that shares the mount namespace with the runtime."""
    bundle.without_namespace("mount")
    bundle.config["mounts"] = []
    for member in ("maskedPaths", "readonlyPaths"):
        bundle.linux.pop(member, None)
    return bundle


@needs("root")
@pytest.mark.parametrize("member", ["uidMappings", "gidMappings"])
@covers("runtime/create/11", "runtime/create/12")
def test_mappings_without_a_user_namespace(runtime: Runtime, bundle: Bundle, rejected: Rejected, member: str) -> None:
    """Ids cannot be mapped where there is no user namespace to map them in."""
    bundle.linux[member] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    rejected(runtime, bundle)


@needs("root")
@covers("runtime/create/11", "runtime/create/12")
def test_propagation_without_a_mount_namespace(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected
) -> None:
    """The root's propagation cannot be set where the root mount is the host's: it would be the host's that changes."""
    without_mount_namespace(bundle).linux["rootfsPropagation"] = "unbindable"
    rejected(runtime, bundle, control=without_mount_namespace(make_bundle()))


@needs("root", "blkdev", "cgroup:blkio")
@covers("runtime/create/11", "runtime/create/12", "config-linux/block-io/14")
def test_device_number_that_is_too_large(runtime: Runtime, make_bundle: Make, rejected: Rejected) -> None:
    """A major number that no device can have does not throttle the device whose number its lower bits are."""
    with open("/proc/partitions", encoding="ascii") as file:
        major, minor = (int(word) for word in file.read().splitlines()[2].split()[:2])

    def throttled(number: int) -> Bundle:
        entry: dict[str, Any] = {"major": number, "minor": minor, "rate": 1 << 20}
        return put(make_bundle(), {"blockIO.throttleReadBpsDevice": [entry]})

    rejected(runtime, throttled(major + MAJORS), control=throttled(major))
