"""config-linux.md#cgroup-ownership: whose the container's cgroup is, in a user namespace."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime

ROW = "config-linux/cgroup-ownership/"
HOST = 100000  # host id of the container's id 0
USER = 1000  # of the container's process
DELEGATE = "/sys/kernel/cgroup/delegate"  # Linux 4.15
BASIC = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
OPTIONS = ("nosuid", "noexec", "nodev", "relatime")
Make = Callable[[], Bundle]

v2 = needs("root", "userns", "cgroup2")


def writable(bundle: Bundle, *options: str, source: str = "cgroup", target: str = "/sys/fs/cgroup") -> Bundle:
    """A user namespace, a cgroup namespace, and the cgroup filesystem mounted read-write."""
    bundle.user_namespace(HOST).namespace("cgroup").without_mount("/sys/fs/cgroup")
    bundle.mount(target, "cgroup", source, *OPTIONS, *options)
    return bundle


def owners(container: Container, key: str = "") -> dict[str, int]:
    """Owners (host ids) of the cgroup's directory, as ".", and of its files."""
    directory = control_files.directories_of(container)[key]
    return {name: os.lstat(os.path.join(directory, name)).st_uid for name in [".", *os.listdir(directory)]}


def delegated() -> list[str]:
    """The files that the kernel names for delegation; a case that asks has made sure that the file is there."""
    with open(DELEGATE, encoding="ascii") as file:
        return file.read().split()


@v2
@covers(ROW + "4", ROW + "1")
def test_directory_is_given_to_the_user(runtime: Runtime, bundle: Bundle) -> None:
    """With a read-write mount the cgroup belongs to the host's id of the container's user, who can divide it
    (config-linux.md#cgroup-ownership)."""
    writable(bundle).process["user"] = {"uid": USER, "gid": USER}
    container = runtime.create(bundle.probe("mkdir /sys/fs/cgroup/child", report=False))
    assert owners(container)["."] == HOST + USER
    container.start()
    assert '"errno":null' in container.wait_output('"mkdir"').replace(" ", "")
    container.wait()


@needs("root", "userns", "cgroup2", "kernel>=4.15")
@covers(ROW + "6", ROW + "8", ROW + "10")
def test_files_that_are_given_to_the_user(runtime: Runtime, bundle: Bundle) -> None:
    """The directory, and what /sys/kernel/cgroup/delegate names, change owner; nothing else does
    (config-linux.md#cgroup-ownership)."""
    found = owners(runtime.create(writable(bundle)))
    wanted = {".", *delegated()} & set(found)
    assert {name for name, owner in found.items() if owner == HOST} == wanted
    assert {owner for name, owner in found.items() if name not in wanted} == {os.geteuid()}


@needs("root", "userns", "cgroup2", "kernel>=4.15")
@covers(ROW + "7")
def test_listed_file_that_is_missing_is_no_error(runtime: Runtime, bundle: Bundle) -> None:
    """Files of controllers that are off are passed over (config-linux.md#cgroup-ownership)."""
    found = owners(runtime.create(writable(bundle)))
    if set(delegated()) <= set(found):
        pytest.skip("every listed file is there")
    if found["."] != HOST:
        pytest.skip("this runtime does not give the cgroup away")


@v2
@needs("program:unshare", "program:mount")
@covers(ROW + "9")
def test_list_without_the_kernel_saying(runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no list, it is procs, subtree_control and threads (config-linux.md#cgroup-ownership)."""
    runtime.prove_sane()
    script = bundle.outside("without-list")
    hide = f'mount -t tmpfs none {os.path.dirname(DELEGATE)} && exec "$@"'
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec unshare --mount sh -c '{hide}' sh {runtime.path} \"$@\"\n")
    os.chmod(script, 0o755)
    writable(bundle).without_mount("/sys")  # a new sysfs needs one that nothing covers: mount_namespaces(7)
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "path", script)
        container = runtime.create(bundle)
    assert {name for name, owner in owners(container).items() if owner == HOST} == {".", *BASIC}


CLOSED: list[Any] = [
    pytest.param(
        lambda bundle: writable(bundle).without_namespace("cgroup"), id="no namespace", marks=covers(ROW + "3")
    ),
    pytest.param(lambda bundle: writable(bundle, "ro"), id="read-only", marks=covers(ROW + "5")),
    pytest.param(
        lambda bundle: writable(bundle).without_mount("/sys/fs/cgroup"), id="no mount", marks=covers(ROW + "5")
    ),
    pytest.param(lambda bundle: writable(bundle, target="/mnt"), id="elsewhere", marks=covers(ROW + "5")),
]


@v2
@pytest.mark.parametrize("change", CLOSED)
def test_owner_stays(runtime: Runtime, bundle: Bundle, change: Callable[[Bundle], Bundle]) -> None:
    """Without a cgroup namespace or a read-write mount in the usual place, no owner changes
    (config-linux.md#cgroup-ownership)."""
    container = runtime.create(change(bundle))
    assert {name: owner for name, owner in owners(container).items() if owner != os.geteuid()} == {}


@needs("root", "userns", "cgroup1")
@covers(ROW + "2")
def test_owner_stays_on_v1(runtime: Runtime, bundle: Bundle) -> None:
    """On cgroup v1 no owner changes (config-linux.md#cgroup-ownership)."""
    container = runtime.create(writable(bundle))
    for key in control_files.directories_of(container):
        found = owners(container, key)
        assert {name: owner for name, owner in found.items() if owner != os.geteuid()} == {}, key
