"""Hints after a failed operation: what the kernel's refusal means for a user without privilege."""

from __future__ import annotations

import errno
import os

import pytest

from seatrial.runtime import hints
from seatrial.runtime.plan import operation as op


@pytest.fixture
def sysctls(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An ordinary user on a host with these sysctls."""
    values: dict[str, str] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(hints, "_sysctl", lambda name: values.get(name, ""))
    return values


NEW_USER = op.unshare(0x10000000)


def test_no_user_namespaces_by_their_number(sysctls: dict[str, str]) -> None:
    sysctls["user/max_user_namespaces"] = "0"
    assert "user.max_user_namespaces is 0" in hints.hint(NEW_USER, errno.ENOSPC)
    assert "CONFIG_USER_NS" in hints.hint(NEW_USER, errno.EINVAL)


def test_no_user_namespaces_for_users(sysctls: dict[str, str]) -> None:
    sysctls["kernel/unprivileged_userns_clone"] = "0"
    assert "kernel.unprivileged_userns_clone is 0" in hints.hint(NEW_USER, errno.EPERM)
    sysctls["kernel/unprivileged_userns_clone"] = "1"
    assert "security module" in hints.hint(NEW_USER, errno.EPERM)


def test_apparmor_strips_the_namespace_of_its_capabilities(sysctls: dict[str, str]) -> None:
    propagation = op.propagation("/", 1)
    assert hints.hint(propagation, errno.EACCES) == ""
    sysctls["kernel/apparmor_restrict_unprivileged_userns"] = "1"
    assert "apparmor_restrict_unprivileged_userns is 1" in hints.hint(propagation, errno.EACCES)


@pytest.mark.parametrize(
    ("operation", "number", "text"),
    [
        (op.mount("sysfs", "/sys", "sysfs", 0), errno.EPERM, "owner of the network namespace"),
        (op.mount("proc", "/proc", "proc", 0), errno.EPERM, "new pid namespace"),
        (op.mount("cgroup", "/c", "cgroup2", 0), errno.EPERM, "cgroup namespace"),
        (op.mount("/dev/sda", "/c", "ext4", 0), errno.EPERM, "file system ext4 cannot be mounted"),
        (op.oom_score_adj(-5), errno.EACCES, "CAP_SYS_RESOURCE"),
        (op.rlimit(7, 1, 2), errno.EPERM, "CAP_SYS_RESOURCE"),
        (op.groups([5]), errno.EPERM, "denied"),
        (op.groups([5]), errno.EINVAL, "additionalGids is not mapped"),
        (op.identity(5, 5), errno.EINVAL, "not mapped"),
        (op.bind_device("/dev/nope", "/dev/nope"), errno.ENOENT, "does not exist"),
        (op.unshare(0x20000), errno.ENOSPC, ""),
        (op.mount("tmpfs", "/tmp", "tmpfs", 0), errno.EINVAL, ""),
    ],
)
def test_hints(sysctls: dict[str, str], operation: op.Operation, number: int, text: str) -> None:
    found = hints.hint(operation, number)
    assert text in found if text else found == ""
