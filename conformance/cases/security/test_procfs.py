"""A runtime writes labels, limits and sysctls to procfs.  A config or an image that puts something else there must not
catch what it writes, nor keep it from taking effect."""

from __future__ import annotations

import os

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.security.hostile import attempted, entries
from seatrial.conformance.cases.security.inside import read_inside
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime

pytestmark = needs("root")

SCORE = 321
SYSCTL = "kernel/shm_rmid_forced"
FAKES = ("self/attr/exec", "self/attr/current", "self/attr/keycreate", "self/oom_score_adj", "thread-self/attr/exec",
         "1/oom_score_adj", "sys/" + SYSCTL, "sysrq-trigger", "version")  # fmt: skip


SHOWN = ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
         "sys/kernel/ns_last_pid")  # fmt: skip


def fake(bundle: Bundle, path: str) -> str:
    """A directory that looks like a procfs to somebody who does not ask what it is."""
    for name in FAKES:
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="ascii") as made:
            made.write("fake")
    return path


def in_force(runtime: Runtime, bundle: Bundle, kept: str) -> None:
    """The runtime refuses the bundle, or what the config asks for is in force; either way nothing below `kept` was
    written to."""
    runtime.prove_sane()
    bundle.process["oomScoreAdj"] = SCORE
    bundle.linux["sysctl"] = {SYSCTL.replace("/", "."): "1"}
    before = entries(kept)
    container = attempted(runtime, bundle)
    assert entries(kept) == before
    if container is not None:
        with open(f"/proc/{container.pid}/oom_score_adj", encoding="ascii") as file:
            assert int(file.read()) == SCORE
        assert read_inside(container.pid, f"/proc/sys/{SYSCTL}", "ipc") == "1\n"


@pytest.mark.parametrize("kind", ["tmpfs", "directory"])
@covers("config/linux-process/13", "config-linux/sysctl/1")
def test_something_else_on_proc(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """Another filesystem is mounted on /proc, over the procfs (CVE-2019-16884)."""
    path = fake(bundle, bundle.outside("volume"))
    if kind == "tmpfs":
        bundle.mount("/proc", "tmpfs", "tmpfs")
    else:
        bundle.mount("/proc", "bind", path, "bind")
    in_force(runtime, bundle, path)


@pytest.mark.parametrize("inner", ["self", "thread-self", "self/attr", "1", "sys", "sys/kernel"])
@covers("config/linux-process/13", "config-linux/sysctl/1")
def test_something_else_below_proc(runtime: Runtime, bundle: Bundle, inner: str) -> None:
    """A directory of a volume is mounted over a part of the procfs (CVE-2019-16884, CVE-2025-52881)."""
    path = fake(bundle, bundle.outside("volume"))
    bundle.mount(f"/proc/{inner}", "bind", os.path.join(path, inner), "bind")
    in_force(runtime, bundle, path)


@profile("runc-compat")
@pytest.mark.parametrize(
    "destination", ["/proc/self/attr", "/proc/sys", "/proc/1", "/proc/net/dev", "/proc/sysrq-trigger"]
)
@covers("config/mounts/4")
def test_mounts_below_proc_are_refused(runtime: Runtime, bundle: Bundle, destination: str) -> None:
    """As runtimes do it, nothing is mounted over parts of a procfs, but for files that show the machine."""
    runtime.prove_sane()
    path = fake(bundle, bundle.outside("volume"))
    source = os.path.join(path, os.path.relpath(destination, "/proc"))
    if not os.path.exists(source):
        source = os.path.join(path, "version")
    bundle.mount(destination, "bind", source, "bind")
    assert attempted(runtime, bundle) is None


@profile("runc-compat")
@covers("config/mounts/4")
def test_files_that_show_the_machine_can_be_covered(runtime: Runtime, bundle: Bundle) -> None:
    """lxcfs and others mount on these files of a procfs, and only on these."""
    names = [name for name in SHOWN if os.path.exists(f"/proc/{name}")]
    for name in names:
        source = bundle.outside(name.replace("/", "-"))
        with open(source, "w", encoding="ascii") as file:
            file.write("cover")
        bundle.mount(f"/proc/{name}", "bind", source, "bind")
    container = attempted(runtime, bundle)
    assert container is not None, "refused"
    for name in names:
        with open(f"/proc/{container.pid}/root/proc/{name}", encoding="ascii") as file:
            assert file.read() == "cover", name


@pytest.mark.parametrize("form", ["absolute", "relative"])
@covers("config/mounts/4", "config/linux-process/13", "config-linux/sysctl/1")
def test_proc_of_the_image_leads_into_a_volume(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """The image's /proc is a link into a volume that holds a fake procfs (CVE-2019-19921, CVE-2023-27561,
    CVE-2023-28642)."""
    path = fake(bundle, bundle.outside("volume"))
    os.rmdir(os.path.join(bundle.rootfs, "proc"))
    bundle.directory("vol")
    bundle.symlink({"absolute": "/vol", "relative": "../../../vol"}[form], "proc")
    bundle.config["mounts"].insert(0, {"destination": "/vol", "type": "bind", "source": path, "options": ["bind"]})
    in_force(runtime, bundle, path)
