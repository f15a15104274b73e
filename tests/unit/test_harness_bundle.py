"""Bundles, the probe's reader, and cgroup views from mountinfo."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver import defaults, probe
from seatrial.conformance.driver.bundle import Workshop
from seatrial.conformance.errors import Finding, HarnessBug


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(str(tmp_path / "bundles"), "st-test")


def test_bundle_is_complete(workshop: Workshop) -> None:
    bundle = workshop.bundle()
    with open(bundle.write(), encoding="utf-8") as file:
        assert json.load(file) == bundle.config
    assert os.access(bundle.rootfs + "/probe", os.X_OK)
    assert os.stat(bundle.rootfs + "/tmp").st_mode & 0o7777 == 0o1777
    assert bundle.config["linux"]["cgroupsPath"] == f"/{bundle.name}"


def test_bundles_share_nothing_but_the_probe(workshop: Workshop) -> None:
    one, two = workshop.bundle(), workshop.bundle()
    one.config["process"]["env"].append("A=1")
    one.config["mounts"].clear()
    assert two.config == defaults.config(f"/{two.name}")
    assert one.path != two.path


def test_raw_and_frozen_bundles_are_written_as_they_are(workshop: Workshop) -> None:
    bundle = workshop.bundle()
    bundle.raw = b'{"bytes": "\xff"}'
    path = bundle.write()
    assert Path(path).read_bytes() == b'{"bytes": "\xff"}'
    os.unlink(path)
    bundle.frozen = True
    bundle.write()
    assert not os.path.exists(path)


def test_builder_words(workshop: Workshop) -> None:
    bundle = workshop.bundle()
    bundle.probe("read /x -- write /y 'a b'").namespace("user").namespace("network", "/proc/1/ns/net")
    bundle.without_namespace("ipc", "uts").mount("/d", "tmpfs", "tmpfs", "ro", "size=1m")
    bundle.hook("poststop", "touch", "/x").hook("startContainer", timeout=1)
    assert bundle.process["args"] == ["/probe", "report", "--", "read", "/x", "--", "write", "/y", "a b"]
    types = {entry["type"]: entry.get("path") for entry in bundle.linux["namespaces"]}
    assert types == {"pid": None, "mount": None, "user": None, "network": "/proc/1/ns/net"}
    mount = {"destination": "/d", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "size=1m"]}
    assert bundle.config["mounts"][-1] == mount
    hooks = bundle.config["hooks"]
    words = [bundle.hook_program, "read-fd", "0", "--", "touch", "/x"]  # the state is read first
    assert hooks["poststop"] == [{"path": bundle.hook_program, "args": words}]
    assert hooks["startContainer"] == [{"path": "/probe", "timeout": 1}]
    assert bundle.probe(report=False).process["args"] == ["/probe"]


def test_builder_refuses_what_means_nothing(workshop: Workshop) -> None:
    with pytest.raises(HarnessBug):
        workshop.bundle().hook("preStart")
    with pytest.raises(HarnessBug):
        workshop.bundle().without_mount("/nowhere")


REPORT = {
    "schema": probe.SCHEMA,
    "env": ["A=1", "B=x=y", "A=2"],
    "caps": {"effective": "0000000000000021"},
    "mounts": [
        {"target": "/a", "options": "ro,nosuid", "super_options": "rw,size=1k"},
        {"target": "/a", "options": "rw,nodev", "super_options": "rw"},
    ],
    "rlimits": {"RLIMIT_NOFILE": [10, probe.INFINITY]},
    "namespaces": {"mnt": 4026531840, "pid": None},
    "devices": {"/dev/null": {"type": "c"}},
}


def test_report_answers() -> None:
    lines = [
        json.dumps(REPORT),
        "not json",
        '{"verb": "read", "args": ["/x"], "ok": false, "errno": "EPERM", "value": null}',
    ]
    report = probe.parse("\n".join(lines))
    assert report.env == {"A": "2", "B": "x=y"}
    assert report.caps() == {"CAP_CHOWN", "CAP_KILL"}
    assert report.mount_options("/a") == {"rw", "nodev"}
    assert report.rlimit("RLIMIT_NOFILE") == (10, probe.INFINITY)
    assert report.namespace("mnt") == 4026531840
    verb = report.verb("read", "/x")
    assert (verb.ok, verb.errno) == (False, "EPERM")


def test_what_a_report_lacks_is_a_finding() -> None:
    report = probe.parse(json.dumps(REPORT))
    for look in (
        lambda: report["uts"],
        lambda: report.mount("/b"),
        lambda: report.namespace("pid"),
        lambda: report.device("/dev/tty"),
        lambda: report.verb("read"),
    ):
        with pytest.raises(Finding):
            look()
    with pytest.raises(Finding, match="nothing readable"):
        probe.parse("")
    with pytest.raises(Finding, match="speaks"):
        probe.parse('{"schema": "seatrial.probe/99"}')


HYBRID = """\
22 27 0:21 / /proc rw - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_views_are_read_as_runtimes_read_them() -> None:
    hybrid = cgroups.read_view(HYBRID)
    assert (hybrid.mode, hybrid.v2) == ("hybrid", "/sys/fs/cgroup/unified")
    assert hybrid.controllers() == {"cpu", "cpuacct"}
    assert hybrid.v1["name=systemd"] == "/sys/fs/cgroup/systemd"
    pure = cgroups.read_view("".join(line + "\n" for line in HYBRID.splitlines() if "cgroup2" not in line))
    assert pure.mode == "v1"
    over = "50 31 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    assert cgroups.read_view(HYBRID + over).mode == "none"
    assert cgroups.read_view(HYBRID + over + "51 50 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").mode == "v2"
