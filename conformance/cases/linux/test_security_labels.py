"""config.md#linux-process: apparmorProfile and selinuxLabel; config-linux.md#mount-label.  As /proc/PID/attr tells."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
CONTEXTS = (
    "/etc/selinux/{}/contexts/lxc_contexts"  # of the policy: container's process and files, selinux_lxc_contexts(5)
)


@needs("root", "apparmor")
@covers("config/linux-process/1")
def test_apparmor_profile(bundle: Bundle, report: Reader, profile: str) -> None:
    """The program runs under the profile, whose rules hold (config.md#linux-process)."""
    bundle.file("denied", "secret")
    bundle.process["apparmorProfile"] = profile
    found = report(bundle.probe("read /denied -- read /etc/passwd"))
    assert found["lsm"]["current"].split()[0] == profile
    assert [verb.errno for verb in found.verbs] == ["EACCES", None]


@needs("root", "apparmor", "exec")
@covers("config/linux-process/1")
def test_apparmor_profile_of_an_executed_process(runtime: Runtime, bundle: Bundle, profile: str) -> None:
    """What exec starts runs under it, too (config.md#linux-process)."""
    bundle.process["apparmorProfile"] = profile
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    assert f"{profile} (enforce)" in container.exec("/probe", "report").stdout


@needs("root", "apparmor")
@covers("config/linux-process/1")
def test_unknown_apparmor_profile_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A profile that is not loaded is refused: the program does not run without it (config.md#linux-process)."""
    bundle.process["apparmorProfile"] = "seatrial-no-such-profile"
    rejected(runtime, bundle, by="start")


def context(name: str) -> str:
    """The policy's context for a container's process or file; the case is skipped where it has none."""
    for policy in os.listdir("/etc/selinux"):
        path = CONTEXTS.format(policy)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    key, _, value = line.partition("=")
                    if key.strip() == name:
                        return value.strip().strip('"')
    pytest.skip(f"selinux: the policy has no context for a container's {name}")


@needs("root", "selinux")
@covers("config/linux-process/37")
def test_selinux_label(bundle: Bundle, report: Reader) -> None:
    """The program has the label (config.md#linux-process)."""
    label = context("process") + ":c13,c37"
    bundle.process["selinuxLabel"] = label
    bundle.linux["mountLabel"] = context("file") + ":c13,c37"
    assert report(bundle)["lsm"]["current"] == label


@needs("root", "selinux")
@covers("config/linux-process/37")
def test_invalid_selinux_label_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A label that the policy does not know is refused (config.md#linux-process)."""
    bundle.process["selinuxLabel"] = "seatrial_u:seatrial_r:seatrial_t:s0"
    rejected(runtime, bundle, by="start")


@needs("root", "selinux")
@covers("config-linux/mount-label/1")
def test_mount_label(bundle: Bundle, report: Reader) -> None:
    """The container's own file systems have the context (config-linux.md#mount-label)."""
    label = context("file") + ":c13,c37"
    bundle.linux["mountLabel"] = label
    bundle.mount("/mnt", "tmpfs", "tmpfs", "size=64k")
    found = report(bundle.probe("getxattr /mnt security.selinux -- getxattr /dev/mqueue security.selinux"))
    assert any(option.startswith("context=") and label in option.replace('"', "") for option in found.options("/mnt"))
    assert [str(verb.value).rstrip("\0") for verb in found.verbs] == [label, label]
