"""A conversation with `criu swrk`, played by a script that says what it is told to say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from seatrial.runtime.criu import messages
from seatrial.runtime.criu.service import FIRST, Service, check_features, check_version
from seatrial.runtime.criu.wire import encode
from seatrial.runtime.errors import CriuError
from seatrial.runtime.log import Log

PLAYER = """#!{python} -IS
import array, os, socket, sys
assert sys.argv[1:] == ["swrk", "3"], sys.argv
line = socket.socket(fileno=3)
request = line.recv(65536)
for kind, data in {answers!r}:
    if kind == "say":
        line.send(data)
    elif kind == "fd":
        fds = array.array("i", [os.open("/dev/zero", os.O_RDONLY)])
        line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    elif kind == "hear":
        heard = line.recv(65536)
        assert heard == data, heard
    elif kind == "stderr":
        os.write(2, data)
    elif kind == "run":
        exec(data)
    elif kind == "exit":
        os._exit(data)
"""

Player = Callable[..., str]


@pytest.fixture
def player(tmp_path: os.PathLike[str]) -> Player:
    """Makes the program: what it does after the request, in order."""

    def make(*answers: tuple[str, object]) -> str:
        path = os.path.join(tmp_path, "criu")
        with open(path, "w") as file:
            file.write(PLAYER.format(python=os.path.realpath(sys.executable), answers=list(answers)))
        os.chmod(path, 0o755)
        return path

    return make


def version(major: int, minor: int, sublevel: int = 0) -> bytes:
    fields: list[tuple[int, int | bytes]] = [(1, major), (2, minor)]
    return encode([(1, messages.VERSION), (2, True), (10, encode([*fields, (4, sublevel)]))])


def notification(script: str, pid: int = 0) -> bytes:
    return encode([(1, messages.NOTIFY), (2, True), (5, encode([(1, script), (2, pid)]))])


DONE = encode([(1, messages.RESTORE), (2, True), (4, encode([(1, 77)]))])


@pytest.mark.parametrize(("found", "text"), [((3, 15, 0), "3.15"), ((4, 2, 1), "4.2.1"), ((10, 0, 0), "10.0")])
def test_version_that_will_do(player: Player, found: tuple[int, int, int], text: str) -> None:
    assert check_version(player(("say", version(*found))), Log()) == found


@pytest.mark.parametrize(("found", "text"), [((3, 14, 2), "3.14.2"), ((2, 99, 0), "2.99")])
def test_version_that_is_too_old(player: Player, found: tuple[int, int, int], text: str) -> None:
    program = player(("say", version(*found)))
    with pytest.raises(CriuError) as caught:
        check_version(program, Log())
    assert str(caught.value) == f"{program} is version {text}; 3.15 or newer is needed"


def test_program_that_does_not_know_the_question(player: Player) -> None:
    with pytest.raises(CriuError, match=r"does not tell its version; install criu 3\.15 or newer"):
        check_version(player(("say", encode([(1, 0), (2, False)]))), Log())


def test_program_that_is_missing() -> None:
    with pytest.raises(CriuError, match=r"execute /none/criu: ENOENT; install criu 3\.15 or newer, or name"):
        check_version("/none/criu", Log())


def test_program_that_dies(player: Player) -> None:
    program = player(("stderr", b"no\nroot"), ("exit", 3))
    with pytest.raises(CriuError, match=r"criu ended without an answer \(exit status 3\): no root"):
        check_version(program, Log())


def test_answer_that_is_none(player: Player) -> None:
    with pytest.raises(CriuError, match="cannot be understood"):
        check_version(player(("say", b"\xff\xff")), Log())


def test_features(player: Player) -> None:
    said = encode([(1, messages.FEATURE_CHECK), (2, True), (8, encode([(1, True), (2, False)]))])
    check_features(player(("say", said)), ("mem_track",))
    with pytest.raises(CriuError, match=r"lacks lazy pages \(userfaultfd\)"):
        check_features(player(("say", said)), ("mem_track", "lazy_pages"))


def test_notifications_are_answered_in_turn(player: Player) -> None:
    program = player(
        ("say", notification("setup-namespaces", 42)),
        ("hear", messages.answer(True)),
        ("fd", notification("orphan-pts-master")),
        ("hear", messages.answer(True)),
        ("say", DONE),
    )
    seen: list[tuple[str, int, int]] = []

    def notified(script: str, pid: int, fds: list[int]) -> None:
        seen.append((script, pid, len(fds)))
        for fd in fds:
            assert os.readlink(f"/proc/self/fd/{fd}") == "/dev/zero"

    before = len(os.listdir("/proc/self/fd"))
    with Service(program) as service:
        response = service.request(messages.RESTORE, {"root": "/r"}, notified=notified)
        service.end()
    assert (response.success, response.pid) == (True, 77)
    assert seen == [("setup-namespaces", 42, 0), ("orphan-pts-master", 0, 1)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_notification_that_fails_is_told_and_waited_for(player: Player, tmp_path: os.PathLike[str]) -> None:
    """What it then undoes is done when the error comes out."""
    undone = os.path.join(tmp_path, "undone")
    program = player(
        ("say", notification("setup-namespaces", 42)),
        ("hear", messages.answer(False)),
        ("run", f"import time; time.sleep(0.3); open({undone!r}, 'w')"),
    )

    def notified(script: str, pid: int, fds: list[int]) -> None:
        raise KeyError(script)

    with Service(program) as service, pytest.raises(KeyError):
        service.request(messages.RESTORE, {}, notified=notified)
    assert os.path.exists(undone)


def test_descriptors_and_process_group(player: Player, tmp_path: os.PathLike[str]) -> None:
    found = os.path.join(tmp_path, "found")
    look = (
        "names = {n: os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if int(n) < 9 and "
        "os.path.exists(f'/proc/self/fd/{n}')}; "
        f"open({found!r}, 'w').write(repr((names, os.getpgrp() == os.getpid())))"
    )
    read, write = os.pipe()
    program = player(("run", look), ("say", DONE))
    with Service(program, [read, write]) as service:
        service.request(messages.RESTORE, {})
        service.end()
    with open(found) as file:
        names, leader = eval(file.read())
    assert leader
    assert names["0"] == "/dev/null"
    assert names["1"] == names["2"] == "/memfd:criu (deleted)"
    assert names["3"].startswith("socket:")
    pipe = os.readlink(f"/proc/self/fd/{read}")
    assert (names[str(FIRST)], names[str(FIRST + 1)]) == (pipe, pipe)
    for fd in (read, write):
        os.close(fd)
