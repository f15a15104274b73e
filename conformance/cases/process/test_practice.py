"""What every engine's containers rely on and the runtime-spec does not say: runc's and crun's practice."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]


@profile("runc-compat")
@covers("config/process/4")
@pytest.mark.parametrize("readonly", [False, True], ids=["writable", "read-only"])
def test_missing_working_directory_is_made(bundle: Bundle, report: Reader, readonly: bool) -> None:
    """A cwd that the image lacks is made, with its parents, and every user may enter it, whatever the program's umask;
    also where the root is read-only for the program."""
    bundle.process["cwd"] = "/made/by/the/runtime"
    bundle.config["root"]["readonly"] = readonly
    bundle.process["user"]["umask"] = 0o077
    found = report(bundle)
    assert found["cwd"] == "/made/by/the/runtime"
    assert found["cwd_stat"]["mode"] & 0o7777 == 0o755


@needs("ids")
@profile("runc-compat")
@covers("runtime-linux/file-descriptors/1")
def test_standard_streams_belong_to_the_user(bundle: Bundle, report: Reader) -> None:
    """The program can open /dev/stdout, /dev/stderr and /dev/stdin again by their names in /proc, whoever made them."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = report(bundle)
    assert [stream["uid"] for stream in found["stdio"]] == [1000] * 3


@profile("runc-compat")
@covers("runtime-linux/file-descriptors/1")
def test_null_of_the_host_is_replaced(bundle: Bundle, report: Reader) -> None:
    """A standard stream that is the host's /dev/null does not reach the program, which could get at the
    host's /dev by it."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        found = report(bundle, stdin=null)
    finally:
        os.close(null)
    assert found["stdio"][0]["dev"] != os.stat(os.devnull).st_dev


@needs("net")
@profile("runc-compat")
@covers("config-linux/namespaces/6")
def test_loopback_is_up_in_a_new_network_namespace(default_report: Report) -> None:
    """`lo` of a new network namespace is up, with its address."""
    (loopback,) = [entry for entry in default_report["interfaces"] if entry["name"] == "lo"]
    assert loopback["up"]
    assert "127.0.0.1" in [entry["address"] for entry in default_report["addresses"]]


@needs("root", "call:keyctl")
@profile("runc-compat")
@covers("config-linux/namespaces/6")
@pytest.mark.parametrize("no_new_keyring", [False, True], ids=["own", "no-new-keyring"])
def test_session_keyring(
    runtime: Runtime, make_bundle: Callable[[], Bundle], report: Reader, no_new_keyring: bool
) -> None:
    """Each container has a session keyring of its own, by its own id; with --no-new-keyring it keeps the
    caller's."""
    own = report(make_bundle())["keyring"]
    bundle = make_bundle()
    found = report(bundle, **({"no_new_keyring": True} if no_new_keyring else {}))["keyring"]
    assert bundle.name in own["session"] or own["id"] != found["id"]
    if no_new_keyring:
        assert bundle.name not in (found["session"] or "")
    else:
        assert bundle.name in found["session"]
        assert found["id"] != own["id"]


@profile("runc-compat")
@covers("config/mounts/1")
def test_source_of_a_mount_is_its_name(bundle: Bundle, report: Reader) -> None:
    """The source of a file system without a device is what mount tables show for it."""
    bundle.mount("/named", "tmpfs", "a-name")
    assert report(bundle).mount("/named")["source"] == "a-name"
