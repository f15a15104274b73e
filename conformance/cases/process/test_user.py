"""config.md#posix-platform-user: ids, groups and umask of the program."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import Part, together

Reader = Callable[..., Report]


# An ordinary user's container has root; with ranges some ids more, the highest of all for no range.
IDS = [
    0,
    *(pytest.param(id, marks=needs("ids")) for id in (1, 1000, 65534)),
    pytest.param(4294967294, marks=needs("root")),
]


def place(id: int, shift: int = 0) -> str:
    """A group of cases for each id.  A uid shares its container with the next gid: neither passes for the other."""
    order = (0, 1, 1000, 65534, 4294967294)
    return f"ids {(order.index(id) + shift) % len(order)}"


@together(lambda uid: place(uid))
@pytest.mark.parametrize("uid", IDS)
@covers("config/posix-platform-user/1")
def test_uid_is_that_of_the_program(bundle: Bundle, uid: int) -> Part:
    """Real, effective, saved and filesystem uid are user.uid (config.md#posix-platform-user)."""
    bundle.process["user"]["uid"] = uid
    found = yield None
    assert found["ids"]["uid"] == [uid] * 4


@together(lambda gid: place(gid, -1))
@pytest.mark.parametrize("gid", IDS)
@covers("config/posix-platform-user/2")
def test_gid_is_that_of_the_program(bundle: Bundle, gid: int) -> Part:
    """Real, effective, saved and filesystem gid are user.gid (config.md#posix-platform-user)."""
    bundle.process["user"]["gid"] = gid
    found = yield None
    assert found["ids"]["gid"] == [gid] * 4


@needs("userns", "root")
@covers("config/posix-platform-user/1", "config/posix-platform-user/2")
def test_ids_are_those_inside_the_user_namespace(bundle: Bundle, report: Reader) -> None:
    """uid and gid count inside the container's user namespace (config.md#posix-platform-user)."""
    bundle.user_namespace()
    bundle.process["user"] = {"uid": 12, "gid": 34}
    found = report(bundle)
    assert found["ids"]["uid"] == [12] * 4
    assert found["ids"]["gid"] == [34] * 4


@needs("userns", "root")
@covers("config/posix-platform-user/1")
def test_unmapped_uid_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], make_bundle: Callable[[], Bundle]
) -> None:
    """A uid without a mapping cannot be applied (config.md#posix-platform-user)."""
    control = make_bundle().user_namespace(size=1000)
    bundle.user_namespace(size=1000)
    bundle.process["user"] = {"uid": 1000, "gid": 0}
    rejected(runtime, bundle, by="start", control=control)


@together(lambda umask: f"ids {umask % 5}")
@pytest.mark.parametrize("umask", [0o077, 0o000, 0o777])
@covers("config/posix-platform-user/3")
def test_umask(bundle: Bundle, umask: int) -> Part:
    """user.umask is the umask (config.md#posix-platform-user)."""
    bundle.process["user"]["umask"] = umask
    found = yield None
    assert found["umask"] == umask


@covers("config/posix-platform-user/4")
def test_umask_is_inherited_by_default(bundle: Bundle, report: Reader) -> None:
    """Without user.umask the umask is the caller's (config.md#posix-platform-user)."""
    old = os.umask(0o037)
    try:
        found = report(bundle)
    finally:
        os.umask(old)
    assert found["umask"] == 0o037


@needs("ids")
@pytest.mark.parametrize("gids", [[], [5], pytest.param([1, 5, 1000, 70000], marks=needs("root"))])
@covers("config/posix-platform-user/5")
def test_additional_gids(bundle: Bundle, report: Reader, gids: list[int]) -> None:
    """The supplementary groups are additionalGids, and gid at most (config.md#posix-platform-user)."""
    bundle.process["user"] = {"uid": 1000, "gid": 100, "additionalGids": gids}
    assert set(report(bundle)["ids"]["groups"]) - {100} == set(gids)


@needs("root")
@covers("config/posix-platform-user/5")
def test_groups_of_the_caller_do_not_leak(runtime: Runtime, bundle: Bundle, report: Reader) -> None:
    """Without additionalGids the program has none of the caller's groups (config.md#posix-platform-user)."""
    bundle.process["user"] = {"uid": 1000, "gid": 100}
    old = os.getgroups()
    os.setgroups([4242])
    try:
        found = report(bundle)
    finally:
        os.setgroups(old)
    assert set(found["ids"]["groups"]) - {100} == set()
