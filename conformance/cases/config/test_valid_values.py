"""Invalid and unsupported values are errors (config.md#valid-values)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers
from seatrial.conformance.cases.config.schema_objects import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.engine import needs
from seatrial.conformance.engine.checks import rejected


@covers("config/valid-values/1")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("process.user.uid", "0", id="type"),
        pytest.param("process.user.gid", -1, id="range"),
        pytest.param("process.rlimits", [{"type": "nofile", "soft": 9, "hard": 9}], id="pattern"),
        pytest.param("linux.namespaces[].type", "Mount", id="constant"),
    ],
)
def test_refuses_invalid_values(runtime: Runtime, bundle: Bundle, path: str, value: Any) -> None:
    """An invalid value is an error, whatever makes it invalid: config.md#valid-values."""
    put(bundle.config, path, value)
    rejected(runtime, bundle)


def _no_rdma() -> bool:
    return needs.unmet("rdma") is not None


def _no_rdt() -> bool:
    return needs.unmet("rdt") is not None


def _no_huge_pages_of_3_mb() -> bool:
    return not os.path.exists("/sys/kernel/mm/hugepages/hugepages-3072kB")


def _no_apparmor() -> bool:
    return needs.unmet("apparmor") is not None


def _no_selinux() -> bool:
    return needs.unmet("selinux") is not None


def _no_unified() -> bool:
    return cgroups.read_view().mode == "v1"


def _never() -> bool:
    return True


UNSUPPORTED: dict[str, tuple[str, Callable[[], bool], dict[str, Any]]] = {
    # sched(7): SCHED_ISO is reserved, but not implemented, in every kernel so far
    "scheduler-policy": ("1.1.0", _never, {"process.scheduler": {"policy": "SCHED_ISO"}}),
    "huge-page-size": (
        "1.0.2",
        _no_huge_pages_of_3_mb,
        {"linux.resources.hugepageLimits": [{"pageSize": "3MB", "limit": 3 << 20}]},
    ),
    "rdma-device": ("1.0.2", _no_rdma, {"linux.resources.rdma": {"nosuch0": {"hcaHandles": 3, "hcaObjects": 1000}}}),
    "resctrl": ("1.0.2", _no_rdt, {"linux.intelRdt": {"closID": "seatrial", "l3CacheSchema": "L3:0=1"}}),
    "apparmor-profile": ("1.0.2", _no_apparmor, {"process.apparmorProfile": "seatrial-nosuch"}),
    "selinux-label": ("1.0.2", _no_selinux, {"process.selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"}),
    "unified-on-v1": ("1.1.0", _no_unified, {"linux.resources.unified": {"memory.high": "1073741824"}}),
}


@covers("config/valid-values/2")
@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_refuses_values_that_this_host_cannot_give(runtime: Runtime, bundle: Bundle, name: str) -> None:
    """A valid value that the runtime or kernel does not support is an error, not silently dropped:
    config.md#valid-values."""
    version, lacking, members = UNSUPPORTED[name]
    if not lacking():
        pytest.skip("this host supports it")
    bundle.config["ociVersion"] = version
    for path, value in members.items():
        put(bundle.config, path, value)
    rejected(runtime, bundle, by="start")
