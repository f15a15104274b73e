"""User namespaces: mappings that do not fit, and a cgroup filesystem that stays read-only."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.security.hostile import attempt
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

pytestmark = needs("userns")

MAPPINGS = 5000  # as text or as a netlink attribute more than 64 KiB; the kernel takes 340 lines (user_namespaces(7))


@needs("root")
@pytest.mark.parametrize("member", ["uidMappings", "gidMappings"])
@covers("config-linux/user-namespace-mappings/1", "runtime/errors/1")
def test_too_many_mappings(
    runtime: Runtime, make_bundle: Callable[[], Bundle], rejected: Callable[..., Result], member: str
) -> None:
    """More mappings than the kernel takes are a clean error: their length must not spill over into what comes after
    them on the way to the process (CVE-2021-43784)."""
    good, bundle = make_bundle().user_namespace(), make_bundle().user_namespace()
    bundle.linux[member] = [{"containerID": n, "hostID": 100000 + n, "size": 1} for n in range(MAPPINGS)]
    rejected(runtime, bundle, control=good)


@pytest.mark.parametrize("private", [True, False], ids=["private", "shared"])
@covers("config/linux-mount-options/ro")
def test_cgroup_filesystem_is_read_only(runtime: Runtime, bundle: Bundle, private: bool) -> None:
    """In a user namespace, with a cgroup namespace of its own or without, root of the container can neither make
    cgroups nor move itself through a cgroup mount that is read-only (CVE-2023-25809)."""
    runtime.prove_sane()
    bundle.user_namespace()
    if any(entry["destination"] == "/sys/fs/cgroup" for entry in bundle.config["mounts"]):
        bundle.without_mount("/sys/fs/cgroup")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    if private:
        bundle.namespace("cgroup")
    else:
        bundle.without_namespace("cgroup")
    places = ["", *(f"/{os.path.basename(path)}" for path in cgroups.read_view().v1.values())][:4]
    tries = [f"mkdir /sys/fs/cgroup{place}/made -- write /sys/fs/cgroup{place}/cgroup.procs 0" for place in places]
    found = attempt(runtime, bundle.probe(" -- ".join(tries)))
    if found is None:
        return
    shown = [mount for mount in found["mounts"] if mount["fstype"] in ("cgroup", "cgroup2")]
    assert shown
    for mount in shown:
        assert "ro" in mount["options"].split(","), mount["target"]
    for verb in found.verbs:
        if any(str(verb.args[0]).startswith(mount["target"] + "/") for mount in shown):
            assert not verb.ok, verb
