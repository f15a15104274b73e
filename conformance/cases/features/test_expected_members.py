"""What engines look for in `features`: the members that runc has printed since 1.1.  The spec leaves each of them out
at will, an engine that asks does not."""

from __future__ import annotations

from typing import Any

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.features.members import find

EXPECTED = (
    "ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "annotations", "linux.namespaces", "linux.capabilities",
    "linux.cgroup.v1", "linux.cgroup.v2", "linux.cgroup.systemd", "linux.cgroup.systemdUser", "linux.seccomp.enabled",
    "linux.apparmor.enabled", "linux.selinux.enabled",
)  # fmt: skip
WITH_SECCOMP = ("linux.seccomp.actions", "linux.seccomp.operators", "linux.seccomp.archs")


@needs("features")
@profile("runc-compat")
@covers("features/features-structure/3")
def test_members_that_engines_look_for(features: dict[str, Any]) -> None:
    """None of them is missing or null; those of seccomp where it is enabled."""
    wanted = EXPECTED + (WITH_SECCOMP if find(features, "linux.seccomp.enabled") else ())
    assert [path for path in wanted if find(features, path) is None] == []
