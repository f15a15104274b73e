"""Records: construction, copies, and the JSON form that state.json keeps."""

from __future__ import annotations

import pytest

from seatrial.runtime.config import (
    Capabilities,
    Cgroup,
    Config,
    Device,
    DeviceRule,
    Hook,
    Hooks,
    IDMap,
    IOPriority,
    Mount,
    Namespace,
    Process,
    Resources,
    Rlimit,
    Scheduler,
    Seccomp,
    SeccompArgument,
    SeccompRule,
    TimeOffset,
)
from seatrial.runtime.document import dumps, loads
from seatrial.runtime.record import Record


def rich() -> Config:
    """A Config that uses every record type."""
    rule = SeccompRule(names=["read"], action="SCMP_ACT_ERRNO", args=[SeccompArgument(index=0, value=2**63, op="x")])
    return Config(
        oci_version="1.0.2",
        bundle="/b",
        rootfs="/b/rootfs",
        process=Process(args=["a"], cwd="/", umask=0),
        namespaces=[Namespace(type="user"), Namespace(type="net", path="/n")],
        uid_mappings=[IDMap(container_id=0, host_id=1, size=2)],
        time_offsets={"boottime": TimeOffset(secs=-1)},
        mounts=[Mount(destination="/x", propagation_flags=[1, 2])],
        devices=[Device(path="/d", type="p")],
        cgroups=Cgroup(path="/c", resources=Resources(devices=[DeviceRule(allow=False)], unified={"a.b": "c"})),
        capabilities=Capabilities(bounding=1 << 40),
        rlimits=[Rlimit(type=7, soft=0, hard=2**64 - 1)],
        scheduler=Scheduler(policy=3),
        io_priority=IOPriority(io_class=2),
        seccomp=Seccomp(default_action="SCMP_ACT_ALLOW", flags=[], syscalls=[rule]),
        hooks=Hooks(poststop=[Hook(path="/h", timeout=1)]),
    )


def test_a_config_survives_json() -> None:
    config = rich()
    again = Config.from_json(loads(dumps(config.to_json()).encode()))
    assert again == config
    assert isinstance(again.hooks.poststop[0], Hook)
    assert again.seccomp is not None
    assert again.seccomp.flags == []
    assert again.process is not None
    assert again.process.umask == 0


def test_a_field_with_its_default_is_left_out_of_json() -> None:
    assert Mount(destination="/x").to_json() == {"destination": "/x"}
    assert Seccomp(default_action="A", flags=[]).to_json() == {"default_action": "A", "flags": []}


def test_json_of_another_version_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown fields"):
        Mount.from_json({"destination": "/x", "novel": 1})


def test_defaults_are_not_shared() -> None:
    one, two = Config(oci_version="1.0.0", bundle="/", rootfs="/"), Config(oci_version="1.0.0", bundle="/", rootfs="/")
    one.mounts.append(Mount(destination="/x"))
    one.cgroups.resources.devices.append(DeviceRule(allow=True))
    assert two.mounts == []
    assert two.cgroups.resources.devices == []


def test_a_copy_shares_nothing() -> None:
    config = rich()
    copy = config.copy()
    assert copy == config
    copy.mounts[0].propagation_flags.append(3)
    copy.time_offsets["boottime"].secs = 5
    assert config.mounts[0].propagation_flags == [1, 2]
    assert config.time_offsets["boottime"].secs == -1
    assert config.replace(hostname="h").hostname == "h"


@pytest.mark.parametrize("given", [{}, {"destination": "/", "x": 1}, {"x": 1}])
def test_wrong_fields_are_named(given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Mount: missing fields"):
        Mount(**given)  # type: ignore[arg-type]


def test_a_misspelt_attribute_is_refused() -> None:
    with pytest.raises(AttributeError):
        rich().hostnme = "x"  # type: ignore[attr-defined]


def test_records_of_different_classes_differ() -> None:
    class Other(Record):
        destination: str

    assert Other(destination="/x") != Mount(destination="/x")
    assert repr(Other(destination="/x")) == "Other(destination='/x')"


def test_namespace_questions() -> None:
    config = rich()
    assert config.is_new("user")
    assert config.private("net")
    assert not config.is_new("net")
    assert not config.private("pid")


def test_io_priority_packs_class_and_level() -> None:
    assert IOPriority(io_class=2, priority=4).value == 0x4004
