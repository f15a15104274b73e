"""config.md#linux-process: the five capability sets, read from the kernel inside."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]

# capabilities(7), in the order of linux/capability.h
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
SETS = {"effective": 6, "bounding": 7, "inheritable": 8, "permitted": 9, "ambient": 10}
SOME = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"]


def bits(names: list[str]) -> int:
    return sum(1 << NAMES.index(name.removeprefix("CAP_")) for name in names)


def mine() -> int:
    """The bounding set of the harness: what a runtime under it can grant at most."""
    with open("/proc/self/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("CapBnd")).split()[1], 16)


def found(report: Report) -> dict[str, int]:
    return {name: int(value, 16) for name, value in report["caps"].items()}


def sets() -> list[object]:
    return [pytest.param(name, marks=covers(f"config/linux-process/{row}"), id=name) for name, row in SETS.items()]


@needs("root")
@pytest.mark.parametrize("uid", [0, 1000], ids=["root", "user"])
@pytest.mark.parametrize("name", sets())
def test_capability_set(bundle: Bundle, report: Reader, name: str, uid: int) -> None:
    """Each set is the one configured, as root and as a user (config.md#linux-process)."""
    bundle.process["user"] = {"uid": uid, "gid": uid}
    bundle.capabilities(*SOME)
    assert found(report(bundle))[name] == bits(SOME)


@needs("root")
@pytest.mark.parametrize("name", sets())
def test_capability_set_left_out(bundle: Bundle, report: Reader, name: str) -> None:
    """A set that is absent, or [], is empty (config.md#linux-process).  For a program that is not root: an execve by
    root fills effective and permitted from the bounding set (capabilities(7))."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.capabilities(*SOME)
    capabilities = bundle.process["capabilities"]
    # what cannot be held without the set in question goes with it
    without = {
        "permitted": ["permitted", "effective", "ambient"],
        "inheritable": ["inheritable", "ambient"],
        "effective": ["effective", "ambient"],
        "ambient": ["ambient"],
        "bounding": ["bounding", "inheritable", "permitted", "effective", "ambient"],
    }[name]
    for other in without:
        del capabilities[other]
    assert found(report(bundle))[name] == 0


@needs("root")
@covers("config/linux-process/2")
def test_empty_capabilities(bundle: Bundle, report: Reader) -> None:
    """capabilities {} leaves no set with a bit (config.md#linux-process)."""
    bundle.process["capabilities"] = {}
    assert found(report(bundle)) == dict.fromkeys(("effective", "permitted", "inheritable", "bounding", "ambient"), 0)


@needs("root")
@covers("config/linux-process/3")
def test_every_capability_of_the_kernel_is_known(bundle: Bundle, report: Reader) -> None:
    """All names of capabilities(7) that this host can grant set their bit (config.md#linux-process)."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    names = [name for number, name in enumerate(NAMES) if number <= last and mine() >> number & 1]
    wanted = [f"CAP_{name}" for name in names]
    bundle.process["capabilities"] = {"bounding": wanted}
    assert found(report(bundle))["bounding"] == bits(wanted)


@covers("config/linux-process/4")
def test_unknown_capability_is_a_warning(runtime: Runtime, bundle: Bundle) -> None:
    """A capability that is unknown is named in a warning (config.md#linux-process)."""
    bundle.capabilities("CAP_KILL", "CAP_NOSUCH").write()
    log = bundle.outside("log")
    container = runtime.create(bundle, check=False)
    container.discard()
    result = runtime.command("--log", log, "--log-format", "json", "create", "--bundle", bundle.path, bundle.name)
    text = container.created.stderr + result.stderr
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            text += file.read()
    assert "CAP_NOSUCH" in text
    assert result.ok, result.describe()


@covers("config/linux-process/5")
def test_unknown_capability_does_not_stop_the_container(bundle: Bundle, report: Reader) -> None:
    """The container runs, with the capabilities that could be granted (config.md#linux-process)."""
    bundle.capabilities("CAP_KILL", "CAP_NOSUCH")
    assert found(report(bundle))["bounding"] == bits(["CAP_KILL"])
