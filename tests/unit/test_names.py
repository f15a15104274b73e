"""Names and numbers: signals, capabilities, sysctl keys, and what `features` and `spec` say."""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

import pytest

from seatrial.runtime import capability, features, mount_options, spec_template, sysctl
from seatrial.runtime.config import Capabilities
from seatrial.runtime.errors import UsageError
from seatrial.runtime.signals import signal_name, signal_number
from seatrial.runtime.spec import names


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", signal.SIGTERM),
        ("TERM", signal.SIGTERM),
        ("SIGKILL", signal.SIGKILL),
        ("sigusr1", signal.SIGUSR1),
        ("hup", signal.SIGHUP),
        ("9", 9),
        ("0", 0),
        ("64", 64),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["NOSUCH", "65", "999", "-9", "_DFL", "_BLOCK", "SIG", "TERM+1", "RTMIN+99", "RTMIN+x", "9" * 5000, "１"]  # noqa: RUF001
)
def test_unknown_signals(text: str) -> None:
    with pytest.raises(UsageError):
        signal_number(text)


def test_signal_names() -> None:
    assert signal_name(15) == "SIGTERM"
    assert signal_name(43) == "signal 43"


def test_capability_numbers() -> None:
    assert capability.BITS["CAP_CHOWN"] == 1
    assert capability.BITS["CAP_SYS_ADMIN"] == 1 << 21
    assert capability.BITS["CAP_SETFCAP"] == 1 << 31
    assert capability.BITS["CAP_CHECKPOINT_RESTORE"] == 1 << 40
    assert len(capability.NAMES) == 41
    assert capability.ALL == (1 << 41) - 1


def test_capability_masks() -> None:
    unknown: list[str] = []
    assert capability.mask(["CAP_KILL", "x", "CAP_KILL", "x"], unknown) == 1 << 5
    assert unknown == ["x"]
    assert capability.names(1 << 5 | 1 << 41) == ["CAP_KILL", "CAP_41"]


def test_what_cannot_be_granted_is_taken_out_with_a_warning() -> None:
    sets = Capabilities(bounding=0b1111, permitted=0b0110, effective=0b1010, ambient=0b0010)
    warnings: list[str] = []
    capability.restrict(sets, 0b1011, warnings)
    assert sets == Capabilities(bounding=0b1011, permitted=0b0010, effective=0b0010, ambient=0b0010)
    assert warnings == [
        "process.capabilities: cannot be granted here: CAP_DAC_READ_SEARCH",
        "process.capabilities.effective: not in permitted, not granted: CAP_FOWNER",
    ]
    warnings.clear()
    capability.restrict(sets, 0b1011, warnings)
    assert warnings == []


def test_capability_files(tmp_path: Any) -> None:
    (tmp_path / "status").write_text("Name:\tx\nCapBnd:\t000001ffffffffff\n")
    (tmp_path / "last").write_text("40\n")
    assert capability.bounding(str(tmp_path / "status")) == capability.ALL
    assert capability.last(str(tmp_path / "last")) == 40
    with pytest.raises(ValueError, match="no CapBnd"):
        capability.bounding(str(tmp_path / "last"))


def test_rlimit_numbers_are_those_of_this_host() -> None:
    for name, number in names.RLIMITS.items():
        assert getattr(resource, name, number) == number, name


def test_scheduler_numbers_are_those_of_this_host() -> None:
    for name in ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_IDLE"):
        assert names.SCHEDULER_POLICIES[name] == getattr(os, name)


def test_sysctl_keys() -> None:
    assert sysctl.normal_key("net.ipv4.ip_forward") == "net.ipv4.ip_forward"
    assert sysctl.normal_key("net/ipv4/conf/eth0.1/forwarding") == "net.ipv4.conf.eth0/1.forwarding"
    assert sysctl.normal_key("net.ipv4.conf.eth0/1.forwarding") == "net.ipv4.conf.eth0/1.forwarding"
    assert sysctl.key_path("net.ipv4.conf.eth0/1.forwarding") == "net/ipv4/conf/eth0.1/forwarding"
    assert not sysctl.is_key("net.//.x")
    assert not sysctl.is_key("")


def test_features_say_what_is_there() -> None:
    said = features.features()
    assert said["ociVersionMin"] == "1.0.0"
    assert said["mountOptions"] == mount_options.known()
    assert {"idmap", "ridmap"} < set(said["mountOptions"])
    linux = said["linux"]
    assert "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"]
    assert "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" in linux["seccomp"]["supportedFlags"]
    assert "SCMP_ACT_ERRNO" in linux["seccomp"]["actions"]
    assert len(linux["namespaces"]) == 8
    for part in ("apparmor", "selinux"):
        assert linux[part] == {"enabled": True}
    assert linux["netDevices"] == {"enabled": True}
    assert linux["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert all(isinstance(value, str) for value in said["annotations"].values())


def test_the_template_of_a_cgroup2_host_has_a_cgroup_namespace() -> None:
    def types(**options: bool) -> list[str]:
        return [entry["type"] for entry in spec_template.template(**options)["linux"]["namespaces"]]

    assert types() == ["pid", "network", "ipc", "uts", "mount"]
    assert types(cgroup2=True)[-1] == "cgroup"
    assert types(rootless=True) == ["pid", "ipc", "uts", "mount", "user"]


def test_the_rootless_template_asks_for_nothing_that_needs_root() -> None:
    linux = spec_template.template(rootless=True)["linux"]
    assert "resources" not in linux
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    for mount in spec_template.template(rootless=True)["mounts"]:
        assert not [option for option in mount.get("options", ()) if option.startswith(("uid=", "gid="))]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("1 0 0:1 / /sys/fs/cgroup rw shared:1 - cgroup2 cgroup2 rw\n", True),
        ("1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n2 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n", False),
        ("", False),
    ],
)
def test_cgroup2_host(tmp_path: Any, lines: str, expected: bool) -> None:
    (tmp_path / "mountinfo").write_text(lines)
    assert spec_template.is_cgroup2_host(str(tmp_path / "mountinfo")) is expected
    assert spec_template.is_cgroup2_host(str(tmp_path / "nosuch")) is False
