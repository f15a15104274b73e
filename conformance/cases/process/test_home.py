"""What a program finds by default: its home directory, its working directory, its keyring.  The runtime-spec is silent
about most of it; images rely on it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]
ENV = ["PATH=/usr/bin:/bin"]


@needs("ids")
@profile("runc-compat")
@pytest.mark.parametrize(
    ("uid", "given", "home"),
    [
        pytest.param(5, None, "/five", id="of the user"),
        pytest.param(77, None, "/", id="unknown user"),
        pytest.param(5, "/mine", "/mine", id="given"),
        pytest.param(5, "", "/five", id="empty"),
    ],
)
@covers("config/process/11")
def test_home(bundle: Bundle, report: Reader, uid: int, given: str | None, home: str) -> None:
    """HOME is that of the container's passwd unless the config gives one (runc 4693, crun 1.5)."""
    with open(os.path.join(bundle.rootfs, "etc/passwd"), "a", encoding="ascii") as file:
        file.write("five:x:5:5::/five:/probe\n")
    bundle.process["user"] = {"uid": uid, "gid": uid}
    bundle.process["env"] = [*ENV, *([f"HOME={given}"] if given is not None else [])]
    assert report(bundle).env.get("HOME") == home


@covers("config/process/11")
def test_newline_in_a_variable(bundle: Bundle, report: Reader) -> None:
    """The value of a variable may have lines, and be empty."""
    bundle.process["env"] = [*ENV, "LINES=one\ntwo\n", "EMPTY="]
    env = report(bundle).env
    assert (env.get("LINES"), env.get("EMPTY")) == ("one\ntwo\n", "")


@needs("ids")
@pytest.mark.parametrize("owner", [0, 1000], ids=["root", "user"])
@covers("config/process/9")
def test_closed_working_directory(bundle: Bundle, report: Reader, owner: int) -> None:
    """The working directory may be one that only root, or only the user, may enter."""
    path = bundle.directory("closed")
    os.chown(path, owner, owner)
    os.chmod(path, 0o700)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["cwd"] = "/closed"
    assert report(bundle)["cwd"] == "/closed"


@profile("runc-compat")
@covers("config/process/9")
def test_missing_working_directory(bundle: Bundle, report: Reader) -> None:
    """A working directory that the image lacks is made (`exec` makes none)."""
    bundle.process["cwd"] = "/not/yet/there"
    assert report(bundle)["cwd"] == "/not/yet/there"


@needs("ids")
@profile("runc-compat")
@covers("config/posix-platform-user/5")
def test_repeated_additional_gid(bundle: Bundle, report: Reader) -> None:
    """A group that is listed twice is no error (youki 3019)."""
    bundle.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [10, 10]}
    assert set(report(bundle)["ids"]["groups"]) == {10}


@profile("runc-compat")
@needs("call:keyctl")
@covers("runtime/create/8")
def test_session_keyring(bundle: Bundle, make_bundle: Callable[[], Bundle], report: Reader) -> None:
    """Each container has a session keyring of its own; with --no-new-keyring it has the caller's."""
    own, other = report(bundle)["keyring"], report(make_bundle())["keyring"]
    kept = report(make_bundle(), no_new_keyring=True)["keyring"]
    assert own["id"] != other["id"]
    assert kept["id"] not in (own["id"], other["id"])


@needs("root")
@profile("runc-compat")
@covers("config/process/13")
def test_program_that_only_others_may_execute(bundle: Bundle, report: Reader) -> None:
    """Root with CAP_DAC_OVERRIDE runs a program of another user that has an execute bit for its owner (runc 3541)."""
    import shutil

    path = os.path.join(bundle.rootfs, "theirs")
    shutil.copyfile(os.path.join(bundle.rootfs, "probe"), path)
    os.chown(path, 1000, 1000)
    os.chmod(path, 0o700)
    bundle.capabilities("CAP_DAC_OVERRIDE").probe()
    bundle.process["args"][0] = "/theirs"
    assert report(bundle)["exe"] == "/theirs"


@needs("root")
@profile("runc-compat")
@covers("runtime/create/8")
def test_state_on_a_noexec_filesystem(runtime: Runtime, bundle: Bundle) -> None:
    """--root on a filesystem without programs, as /run is on many hosts (runc 3541)."""
    from seatrial.native import mount_api

    place = bundle.outside("state")
    os.mkdir(place)
    mount_api.mount("tmpfs", place, "tmpfs", 2 | 4 | 8, "mode=0711")  # nosuid, nodev, noexec
    try:
        bundle.probe("exit 7", report=False).write()
        words = ("--root", place, "run", "--bundle", bundle.path, bundle.name)
        assert runtime.command(*words, root=False).status == 7
    finally:
        mount_api.umount(place, 2)


@needs("exec", "ids")
@profile("runc-compat")
@covers("config/posix-platform-user/3")
def test_umask_of_executed_processes(runtime: Runtime, bundle: Bundle) -> None:
    """process.user.umask holds for `exec` as well (runc 3661)."""
    from seatrial.conformance.cases.exec.executing import executed, held

    bundle.process["user"] = {"uid": 0, "gid": 0, "umask": 0o027}
    assert executed(held(runtime, bundle))["umask"] == 0o027
