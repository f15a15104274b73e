"""config-linux.md#rootfs-mount-propagation: what mountinfo says of the root, and where mount events go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, parse
from seatrial.native import mount_api

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
ROW = "config-linux/rootfs-mount-propagation/"


@pytest.fixture
def shared_rootfs(bundle: Bundle) -> Iterator[str]:
    """The bundle's rootfs as a shared mount of the host, in a private one; both are unmounted afterwards."""
    mount_api.mount(bundle.path, bundle.path, None, mount_api.MS_BIND)
    mount_api.mount(None, bundle.path, None, mount_api.MS_PRIVATE)
    mount_api.mount(bundle.rootfs, bundle.rootfs, None, mount_api.MS_BIND)
    mount_api.mount(None, bundle.rootfs, None, mount_api.MS_SHARED)
    yield bundle.rootfs
    mount_api.umount(bundle.rootfs, mount_api.MNT_DETACH)
    mount_api.umount(bundle.path, mount_api.MNT_DETACH)


def peer_groups(pid: int | str) -> set[str]:
    """The `shared:N` of a process's mounts."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        return {word for line in file for word in line.split()[6:] if word.startswith("shared:")}


def targets(pid: int | str) -> set[str]:
    """Where a process has mounts."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        return {line.split()[4] for line in file}


def held(runtime: Runtime, bundle: Bundle, verbs: str = "") -> Container:
    """A running container whose program has done the verbs and waits."""
    container = runtime.create(bundle.probe(f"{verbs} -- hold" if verbs else "hold"))
    container.start()
    container.wait_output('"verb":"hold"')
    return container


def words(found: Report) -> set[str]:
    """The kinds of propagation of the root: shared, master, unbindable."""
    return {word.partition(":")[0] for word in found["rootfs"]["propagation"]}


@covers(ROW + "1", ROW + "2")
@pytest.mark.parametrize(
    ("propagation", "present", "absent"),
    [
        pytest.param("shared", "shared", "unbindable", marks=covers(ROW + "3"), id="shared"),
        pytest.param("slave", "", "shared unbindable", marks=covers(ROW + "4"), id="slave"),
        pytest.param("private", "", "shared master unbindable", marks=covers(ROW + "5"), id="private"),
        pytest.param("unbindable", "unbindable", "shared master", marks=covers(ROW + "6"), id="unbindable"),
    ],
)
def test_propagation_of_the_root(bundle: Bundle, report: Reader, propagation: str, present: str, absent: str) -> None:
    """mountinfo shows the propagation asked for (config-linux.md#rootfs-mount-propagation)."""
    bundle.linux["rootfsPropagation"] = propagation
    shown = words(report(bundle))
    assert set(present.split()) <= shown
    assert shown & set(absent.split()) == set()


@covers(ROW + "1")
def test_propagation_may_be_left_out(runtime: Runtime, bundle: Bundle) -> None:
    """Without it a mount made inside does not reach the host (config-linux.md#rootfs-mount-propagation)."""
    bundle.capabilities("CAP_SYS_ADMIN")
    container = held(runtime, bundle, "mount tmpfs /mnt tmpfs")
    assert "/mnt" in targets(container.pid)
    assert f"{bundle.rootfs}/mnt" not in targets("self")


@pytest.mark.parametrize("propagation", ["foo", "Shared", "shared,slave", "rbind"])
@covers(ROW + "2")
def test_unknown_propagation_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, propagation: str
) -> None:
    """Any other value is refused (config-linux.md#rootfs-mount-propagation)."""
    bundle.linux["rootfsPropagation"] = propagation
    rejected(runtime, bundle, by="start")


@profile("runc-compat")
@pytest.mark.parametrize(
    ("propagation", "absent"), [("rslave", {"shared", "unbindable"}), ("rprivate", {"shared", "master", "unbindable"})]
)
@covers(ROW + "2")
def test_recursive_propagation_is_taken(bundle: Bundle, report: Reader, propagation: str, absent: set[str]) -> None:
    """As engines use it: for the root the recursive words mean the same (config-linux.md#rootfs-mount-propagation)."""
    bundle.linux["rootfsPropagation"] = propagation
    assert words(report(bundle)) & absent == set()


@needs("root")
@covers(ROW + "3")
def test_shared_root_is_in_a_peer_group_of_its_own(runtime: Runtime, bundle: Bundle, shared_rootfs: str) -> None:
    """The root's peer group is none of the host's; a mount made inside shows up in binds of the root inside, and not
    outside (config-linux.md#rootfs-mount-propagation)."""
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.capabilities("CAP_SYS_ADMIN")
    bundle.directory("copy")
    before = peer_groups("self")
    container = held(runtime, bundle, "mount / /copy - bind -- mount tmpfs /mnt tmpfs -- stat /copy/mnt")
    found = parse(container.output())
    assert [verb.errno for verb in found.verbs[:3]] == [None, None, None]
    group = {word for word in found["rootfs"]["propagation"] if word.startswith("shared:")}
    assert group
    assert group & before == set()
    assert {"/mnt", "/copy/mnt"} <= targets(container.pid)
    assert f"{shared_rootfs}/mnt" not in targets("self")


@needs("root")
@pytest.mark.parametrize(
    ("propagation", "received"),
    [
        pytest.param("slave", True, marks=covers(ROW + "4")),
        pytest.param("private", False, marks=covers(ROW + "5")),
        pytest.param("rslave", True, marks=[covers(ROW + "4"), profile("runc-compat")]),
    ],
)
def test_mounts_of_the_host(
    runtime: Runtime, bundle: Bundle, shared_rootfs: str, propagation: str, received: bool
) -> None:
    """What the host mounts below a shared rootfs after create reaches a slave, and no private root; no mount goes the
    other way (config-linux.md#rootfs-mount-propagation)."""
    bundle.linux["rootfsPropagation"] = propagation
    bundle.capabilities("CAP_SYS_ADMIN")
    bundle.directory("later")
    container = held(runtime, bundle, "mount tmpfs /mnt tmpfs")
    mount_api.mount("tmpfs", os.path.join(shared_rootfs, "later"), "tmpfs")
    try:
        inside, outside = targets(container.pid), targets("self")
    finally:
        mount_api.umount(os.path.join(shared_rootfs, "later"))
    assert ("master" in words(parse(container.output()))) is received
    assert ("/later" in inside) is received
    assert "/mnt" in inside
    assert f"{shared_rootfs}/mnt" not in outside


@covers(ROW + "6")
def test_unbindable_root_is_not_bound(bundle: Bundle, report: Reader) -> None:
    """A bind mount of an unbindable root is refused by the kernel, one of a private root is not
    (config-linux.md#rootfs-mount-propagation)."""
    bundle.capabilities("CAP_SYS_ADMIN")
    bundle.linux["rootfsPropagation"] = "private"
    assert report(bundle.probe("mount / /mnt - bind")).verbs[0].errno is None
    bundle.linux["rootfsPropagation"] = "unbindable"
    assert report(bundle.probe("mount / /mnt - bind")).verbs[0].errno == "EINVAL"
