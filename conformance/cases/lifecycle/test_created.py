"""runtime.md#lifecycle and #create: what is there between create and start, and what may wait for start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import put
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import parse

LIMITS = {  # controller -> members of resources, then file and text on v2 and on v1
    "pids": ({"pids.limit": 41}, ("pids.max", "41"), ("pids.max", "41")),
    "memory": ({"memory.limit": 64 << 20}, ("memory.max", str(64 << 20)), ("memory.limit_in_bytes", str(64 << 20))),
    "hugetlb": ({}, ("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.limit_in_bytes", "4194304")),
}


@needs("root")
@covers("runtime/lifecycle/3", "runtime/create/8")
def test_resources_are_there_before_start(runtime: Runtime, bundle: Bundle) -> None:
    """After create, and before start, the process is in its cgroup, whose limits hold, and the mounts are made
    (runtime.md#lifecycle, step 2)."""
    view = cgroups.read_view()
    wanted = {}
    for controller, (members, on_v2, on_v1) in LIMITS.items():
        if controller in view.controllers():
            put(bundle, members)
            if controller == "hugetlb":
                bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]
            name, text = on_v2 if view.mode == "v2" else on_v1
            wanted[name] = text
    if not wanted:
        pytest.skip("cgroup:memory: no controller of this view has a limit to look at")
    bundle.mount("/mnt", "tmpfs", "tmpfs", "size=64k")
    container = runtime.create(bundle.probe("hold", report=False))
    for name, text in wanted.items():
        assert control_files.value(container, name) == text
        directory = control_files.directory_of(container, control_files.controller_of(name))
        assert directory != control_files.mount_point(control_files.controller_of(name))
        assert str(container.pid) in control_files.read(directory, "cgroup.procs").split()
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        assert [line for line in file if line.split()[4] == "/mnt" and " - tmpfs " in line] != []


@covers("runtime/create/10")
def test_process_properties_hold_after_start(runtime: Runtime, bundle: Bundle) -> None:
    """Properties of the process other than args may be applied by create or by start; after start all of them hold
    (runtime.md#create)."""
    bundle.process.update(cwd="/tmp", rlimits=[{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 654}])
    bundle.process["env"].append("SEATRIAL_CASE=created")
    bundle.process["user"]["umask"] = 0o027
    bundle.process["capabilities"] = {name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")}
    container = runtime.create(bundle)
    assert container.status() == "created"
    container.start()
    container.wait_status("stopped")
    found = parse(container.output(), container.created)
    assert found.rlimit("RLIMIT_NOFILE") == (321, 654)
    assert (found["cwd"], int(str(found["umask"]), 0), found.env["SEATRIAL_CASE"]) == ("/tmp", 0o027, "created")
    assert found.caps("effective") == {"CAP_KILL"}


@covers("runtime/create/13")
@pytest.mark.parametrize("when", ["by its syntax", "by the host"])
def test_config_that_create_finds_invalid_makes_nothing(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], when: str
) -> None:
    """create may validate the config, against the spec or the host, at any moment; a config that it refuses leaves
    neither container, cgroup, mount nor process (runtime.md#create)."""
    bundle.hook("createRuntime", "exit", "0")
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    if when == "by its syntax":
        bundle.linux["namespaces"].append({"type": "seatrial"})
    else:
        bundle.mount("/opt", "no-such-filesystem", "none")
    rejected(runtime, bundle)
