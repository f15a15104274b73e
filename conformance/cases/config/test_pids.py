"""A pids object without its limit, about which the spec's texts disagree (config-linux.md#pids)."""

from __future__ import annotations

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.config.cgroup_files import read
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime


@covers("schema-config-linux/pids/resources-pids-limit-required")
@needs("cgroup:pids")
def test_pids_without_a_limit_sets_none(runtime: Runtime, bundle: Bundle) -> None:
    """The text makes limit OPTIONAL, the schema requires it: {} is refused, or it limits nothing."""
    runtime.prove_sane()
    bundle.linux["resources"]["pids"] = {}
    container = runtime.create(bundle, check=False)
    if container.created.ok:
        assert read(container, "pids", "pids.max") == "max"
    else:
        assert not container.created.crashed, container.created.describe()
        assert not runtime.state(container.id).ok
