"""What the process of `exec` is: user, groups, capabilities, environment, directory, descriptors, terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import detached, executed, held, words
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = needs("exec")

USER = "config/posix-platform-user/"


@profile("runc-compat")
@covers(USER + "1", USER + "2", USER + "5")
def test_user_is_the_configs(runtime: Runtime, bundle: Bundle) -> None:
    """Without options the process has the user and the groups of the container's process."""
    bundle.process["user"] = {"uid": 11, "gid": 12, "additionalGids": [13, 14]}
    ids = executed(held(runtime, bundle))["ids"]
    assert (ids["uid"], ids["gid"], sorted(ids["groups"])) == ([11] * 4, [12] * 4, [13, 14])


@profile("runc-compat")
@covers(USER + "1", USER + "2")
@pytest.mark.parametrize(("option", "uid", "gid"), [("7", 7, 12), ("7:8", 7, 8), ("0:0", 0, 0)])
def test_user_option(runtime: Runtime, bundle: Bundle, option: str, uid: int, gid: int) -> None:
    """--user UID[:GID]; without GID the config's stays (CVE-2026-30892: one number is not root)."""
    bundle.process["user"] = {"uid": 11, "gid": 12}
    ids = executed(held(runtime, bundle), user=option)["ids"]
    if option == "7":
        assert ids["uid"] == [7] * 4
        assert ids["gid"] in ([gid] * 4, [0] * 4)  # crun: no group given is group 0
    else:
        assert (ids["uid"], ids["gid"]) == ([uid] * 4, [gid] * 4)


@profile("runc-compat")
@covers("config/linux-process/2")
def test_capabilities_are_added_but_not_inheritable(runtime: Runtime, bundle: Bundle) -> None:
    """--cap adds to the effective, permitted and bounding sets and never to the inheritable one (CVE-2022-29162)."""
    kinds = ("bounding", "effective", "permitted")
    bundle.process["capabilities"] = {kind: ["CAP_CHOWN"] for kind in kinds}
    container = held(runtime, bundle)
    plain, more = executed(container), executed(container, cap="CAP_KILL")
    for kind in kinds:
        assert plain.caps(kind) == {"CAP_CHOWN"}
        assert more.caps(kind) == {"CAP_CHOWN", "CAP_KILL"}
    for kind in ("inheritable", "ambient"):
        assert plain.caps(kind) == more.caps(kind) == set()


@profile("runc-compat")
@covers("config/process/11")
def test_environment_is_the_configs_with_additions(runtime: Runtime, bundle: Bundle) -> None:
    """--env adds to the environment of the container's process, and replaces what has the same name."""
    bundle.process["env"] = ["PATH=/bin", "KEPT=yes", "CHANGED=no"]
    env = executed(held(runtime, bundle), env=["CHANGED=a,b", "NEW=c"]).env
    assert {name: env.get(name) for name in ("PATH", "KEPT", "CHANGED", "NEW")} == {
        "PATH": "/bin", "KEPT": "yes", "CHANGED": "a,b", "NEW": "c",
    }  # fmt: skip


@profile("runc-compat")
@covers("config/process/9")
def test_working_directory(runtime: Runtime, bundle: Bundle) -> None:
    """It is the config's, or that of --cwd."""
    bundle.directory("/srv/there")
    bundle.process["cwd"] = "/srv"
    container = held(runtime, bundle)
    assert executed(container)["cwd"] == "/srv"
    assert executed(container, cwd="/srv/there")["cwd"] == "/srv/there"


@profile("runc-compat")
@covers("config/process/9", "runtime/errors/1")
def test_working_directory_is_not_created(runtime: Runtime, bundle: Bundle) -> None:
    """A directory that is not there is an error: `exec` changes nothing in the container."""
    container = held(runtime, bundle)
    result = container.exec(PROBE, "exit", "0", check=False, cwd="/not/there")
    assert not result.ok, result.describe()
    assert not os.path.exists(os.path.join(bundle.rootfs, "not"))
    executed(container, cwd="/tmp")


@profile("runc-compat")
@covers("config/process/9")
@pytest.mark.parametrize("number", range(3, 12))
def test_no_way_out_through_a_leaked_descriptor(runtime: Runtime, bundle: Bundle, number: int) -> None:
    """--cwd /proc/self/fd/N must not lead to a directory of the host (CVE-2024-21626)."""
    container = held(runtime, bundle)
    result = container.exec(*words(), check=False, cwd=f"/proc/self/fd/{number}")
    if result.ok:
        report = parse(result.stdout, result)
        assert (report["cwd"] or "").startswith("/")
        assert "unreachable" not in report["cwd"]
    else:
        executed(container)


@covers("runtime-linux/file-descriptors/1")
def test_program_gets_three_descriptors(runtime: Runtime, bundle: Bundle) -> None:
    """Descriptors that the caller leaked to the runtime do not reach the program
    (runtime-linux.md#file-descriptors)."""
    container = held(runtime, bundle)
    with open(bundle.outside("secret"), "w", encoding="utf-8") as file:
        numbers = [os.dup(file.fileno()) for _ in range(4)]
        try:
            result = runtime.command("exec", container.id, *words(), pass_fds=tuple(numbers)).check()
        finally:
            for number in numbers:
                os.close(number)
    assert sorted(entry["fd"] for entry in parse(result.stdout, result)["fds"]) == [0, 1, 2]


@pytest.fixture
def listener(bundle: Bundle) -> Iterator[ConsoleSocket]:
    """A console socket in the bundle's directory."""
    with ConsoleSocket(bundle.outside("console")) as made:
        yield made


@needs("tty")
@profile("runc-compat")
@covers("config/process/4")
def test_terminal_is_of_the_containers_devpts(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """--tty --detach with a console socket: the streams are a new terminal of the container, which controls the
    session; /dev/console stays init's."""
    container = held(runtime, bundle)
    with detached(container, *words("tty-info"), tty=True, console_socket=listener.path):
        report = parse(listener.receive().read_to_end())
    info = report.verbs[0].value
    assert [stream["tty"] for stream in info["streams"]] == [True] * 3
    assert info["controlling"] is True
    assert (report["stdio"][0]["type"], report["stdio"][0]["major"]) == ("c", 136)
    assert info["streams"][0]["name"].startswith("/dev/pts/")
    assert not [mount for mount in report["mounts"] if mount["target"] == "/dev/console"]


@needs("tty")
@profile("runc-compat")
@covers("config/process/4", "runtime/errors/1")
def test_detached_terminal_needs_a_console_socket(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """Nobody would hold its other end."""
    container = held(runtime, bundle)
    result = container.exec(PROBE, "exit", "0", check=False, tty=True, detach=True)
    assert not result.ok, result.describe()
    with detached(container, PROBE, "exit", "0", tty=True, console_socket=listener.path):
        listener.receive().read_to_end()


@profile("runc-compat")
@covers(USER + "1", "config/process/9", "config/process/11", "config/linux-process/11")
def test_process_document(runtime: Runtime, bundle: Bundle) -> None:
    """--process FILE: the whole process from a document, as engines give it."""
    container = held(runtime, bundle)
    document: dict[str, Any] = {
        "args": words(),
        "cwd": "/tmp",
        "env": ["PATH=/bin", "ONLY=this"],
        "user": {"uid": 7, "gid": 8, "additionalGids": [9]},
        "noNewPrivileges": True,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}],
    }
    path = bundle.outside("process.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    result = runtime.command("exec", "--process", path, container.id).check()
    report = parse(result.stdout, result)
    assert (report["ids"]["uid"], report["ids"]["gid"], report["ids"]["groups"]) == ([7] * 4, [8] * 4, [9])
    assert report["cwd"] == "/tmp"
    assert report.env["ONLY"] == "this"
    assert report["no_new_privs"] is True
    assert report["rlimits"]["RLIMIT_NOFILE"] == [99, 100]
