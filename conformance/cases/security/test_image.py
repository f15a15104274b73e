"""Images that put links where a runtime looks for devices and terminals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.security.hostile import DEV, TEXT, attempt, entries, victim
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = needs("root")


@pytest.fixture
def listener(bundle: Bundle) -> Iterator[ConsoleSocket]:
    """A console socket in the bundle's directory."""
    with ConsoleSocket(bundle.outside("console")) as made:
        yield made


@needs("tty")
@pytest.mark.parametrize("mounted", [True, False], ids=["devpts", "no devpts"])
@covers("config-linux/default-devices/7", "config/process/4")
def test_terminals_of_the_image_are_links(
    runtime: Runtime, bundle: Bundle, listener: ConsoleSocket, mounted: bool
) -> None:
    """/dev/pts of the image holds links named like terminals.  What they lead to is not mounted on /dev/console, not
    given away and not written to (CVE-2025-52565)."""
    runtime.prove_sane()
    path = victim(bundle)
    secret = bundle.file("secret", TEXT, 0o600)
    for destination in DEV:
        bundle.without_mount(destination)
    if mounted:
        bundle.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    for number in range(10):
        bundle.symlink("/secret" if number % 2 else path + "/kept", f"dev/pts/{number}")
    before = entries(path), os.stat(secret).st_ctime_ns
    bundle.process["terminal"] = True
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.probe("stat /dev/console -- write /dev/console overwritten -- hold", report=False)
    container = runtime.create(bundle, check=False, console_socket=listener.path)
    if container.created.ok:
        terminal = listener.receive()
        container.start()
        console = parse(terminal.read_until('"hold"')).verbs[0].value
        found = console.get("follow", console) if console else None  # crun makes it a link to the terminal
        assert found is None or (found["type"], found.get("major")) == ("c", 136)
    assert (entries(path), os.stat(secret).st_ctime_ns) == before


@pytest.mark.parametrize("where", ["host", "procfs", "image"])
@covers("config-linux/masked-paths/1")
def test_null_of_the_image_is_a_link(runtime: Runtime, bundle: Bundle, where: str) -> None:
    """/dev/null of the image is a link, and masks are made of /dev/null: nothing else is mounted on a masked path
    (CVE-2025-31133)."""
    runtime.prove_sane()
    path = victim(bundle)
    for destination in DEV:
        bundle.without_mount(destination)
    bundle.file("other", "of the image")
    bundle.file("masked", "secret")
    target = {"host": path + "/kept", "procfs": "/proc/sys/kernel/ostype", "image": "/other"}[where]
    bundle.symlink(target, "dev/null")
    bundle.linux["maskedPaths"] = ["/masked"]
    before = entries(path)
    # Not over stdout: a runtime that opens streams anew which are /dev/null may take it for one of them.
    bundle.args("/probe", "--to", "/result", "read", "/masked", "--", "stat", "/masked")
    result = runtime.run(bundle, check=False)
    assert not result.crashed, result.describe()
    assert entries(path) == before
    if result.ok:
        with open(os.path.join(bundle.rootfs, "result"), encoding="utf-8") as file:
            found = parse(file.read())
        assert not found.verbs[0].value
        masked = found.verbs[1].value
        assert (masked["type"] == "f" and masked["size"] == 0) or (masked["type"], masked["major"]) == ("c", 1)


@profile("runc-compat")
@needs("command:spec")
@covers("config/linux-process/8")
def test_generated_config_gives_no_inheritable_capabilities(
    runtime: Runtime, make_bundle: Callable[[], Bundle]
) -> None:
    """`spec` writes a config whose inheritable set is empty (CVE-2022-29162)."""
    import json

    directory = make_bundle().outside("generated")
    os.mkdir(directory)
    runtime.command("spec", root=False, cwd=directory).check()
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        sets = json.load(file)["process"]["capabilities"]
    assert sets["bounding"]
    assert not sets.get("inheritable")


@needs("cap:MKNOD", "exec")
@profile("runc-compat")
@covers("config/posix-platform-user/1")
def test_null_of_the_host_is_not_given_away(runtime: Runtime, bundle: Bundle) -> None:
    """A program of another user gets the host's /dev/null as its standard input: owner and mode stay (runc 1.1.1 to
    1.1.4, crun before 1.24).  The device is a node of our own."""
    path = bundle.outside("null")
    os.mknod(path, 0o020666, os.makedev(1, 3))
    os.chmod(path, 0o666)
    before = os.stat(path)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        container = runtime.create(bundle.probe("hold", report=False), stdin=fd)
        container.start()
        container.wait_output('"verb":"hold"')
        container.exec("/probe", "print", "x", stdin=fd, user="1000")
    finally:
        os.close(fd)
    after = os.stat(path)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@covers("config/mounts/1")
def test_image_with_links_runs_all_the_same(runtime: Runtime, bundle: Bundle) -> None:
    """The control of this file: links that stay in the image are no reason to refuse it."""
    bundle.directory("usr/run")
    os.rmdir(os.path.join(bundle.rootfs, "run"))
    bundle.symlink("usr/run", "run")
    bundle.mount("/run/place", "tmpfs", "tmpfs")
    found = attempt(runtime, bundle)
    assert found is not None, "refused"
    assert found.mount("/usr/run/place")["fstype"] == "tmpfs"
