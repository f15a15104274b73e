"""config-linux.md#rdma."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

Make = Callable[[], Bundle]
Rejected = Callable[..., Result]
ROW = "config-linux/rdma/"


def limited(bundle: Bundle, entries: dict[str, Any]) -> Bundle:
    bundle.linux["resources"]["rdma"] = entries
    return bundle


@needs("root", "rdma")
@pytest.mark.parametrize(
    ("entry", "text"),
    [
        pytest.param({"hcaHandles": 3}, "hca_handle=3 hca_object=max", marks=covers(ROW + "2"), id="handles"),
        pytest.param({"hcaObjects": 7}, "hca_handle=max hca_object=7", marks=covers(ROW + "3"), id="objects"),
        pytest.param(
            {"hcaHandles": 3, "hcaObjects": 7}, "hca_handle=3 hca_object=7", marks=covers(ROW + "5"), id="both"
        ),
    ],
)
@covers(ROW + "1")
def test_limit(runtime: Runtime, bundle: Bundle, entry: dict[str, int], text: str) -> None:
    """What is given of a device is limited (config-linux.md#rdma)."""
    device = min(os.listdir("/sys/class/infiniband"))
    container = runtime.create(limited(bundle, {device: entry}))
    assert f"{device} {text}" in control_files.value(container, "rdma.max").splitlines()


@needs("root", "rdma", "cgroup2")
@covers("config-linux/unified/22")
def test_limit_on_v2(runtime: Runtime, bundle: Bundle) -> None:
    """On v2 the limit is converted to rdma.max, or refused: it is not dropped (config-linux.md#unified)."""
    runtime.prove_sane()
    device = min(os.listdir("/sys/class/infiniband"))
    container = runtime.create(limited(bundle, {device: {"hcaHandles": 3, "hcaObjects": 7}}), check=False)
    if container.created.ok:
        assert f"{device} hca_handle=3 hca_object=7" in control_files.value(container, "rdma.max").splitlines()
    else:
        assert not container.created.crashed, container.created.describe()


@needs("root")
@covers(ROW + "6")
def test_device_that_is_not_there(make_bundle: Make, runtime: Runtime, rejected: Rejected) -> None:
    """A device that does not exist cannot be limited, and that is an error (config-linux.md#rdma)."""
    rejected(runtime, limited(make_bundle(), {"st-nosuch": {"hcaHandles": 3}}), control=make_bundle())


@needs("root", "cgroup:rdma")
@covers(ROW + "4")
def test_entry_limits_something(make_bundle: Make, runtime: Runtime, rejected: Rejected) -> None:
    """An entry without any limit is refused (config-linux.md#rdma)."""
    rejected(runtime, limited(make_bundle(), {"st-nosuch": {}}), control=make_bundle())
