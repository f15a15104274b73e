"""A runtime that is killed at any of its steps leaves what `delete --force` removes."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from bundles import Bundle, CommandLine, Running, cgroups, processes_of

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crash_driver.py")
POINTS = 12  # for each verb
KILLED = (-signal.SIGKILL, 0)  # 0: this time it took fewer steps than the last of the points
STATUSES = ("", "creating", "created", "running", "stopped")


def drive(cli: CommandLine, number: int, *words: str) -> tuple[int, str]:
    done = Running([sys.executable, DRIVER, str(number), "--root", cli.root, *words]).end()
    return done.returncode, done.stderr


def calls_of(cli: CommandLine, *words: str) -> int:
    status, error = drive(cli, 0, *words)
    assert status == 0, error
    return int(error.rpartition("calls: ")[2])


def assert_nothing_left(cli: CommandLine, bundle: Bundle, id: str) -> None:
    assert os.listdir(cli.root) == []
    assert cgroups(id) == []
    deadline = time.monotonic() + 5  # an executor without a parent leaves at its next step
    while processes_of(bundle.rootfs) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes_of(bundle.rootfs) == []


def points(count: int) -> list[int]:
    return sorted({1 + round(index * (count - 1) / (POINTS - 1)) for index in range(POINTS)})


@pytest.mark.parametrize("verb", ["create", "run"])
def test_killed_while_setting_up(cli: CommandLine, bundle: Bundle, verb: str) -> None:
    bundle.hook("createRuntime", "exit", "0").hook("createContainer", "exit", "0")
    os.makedirs(cli.root)
    words = [verb, *(["-d"] if verb == "run" else []), "-b", bundle.path]
    total = calls_of(cli, *words, f"c-{verb}-all")
    cli("delete", "--force", f"c-{verb}-all")
    assert total > 60
    for number in points(total):
        id = f"c-{verb}-{number}"
        assert drive(cli, number, *words, id)[0] in KILLED
        assert cli.status(id) in STATUSES
        cli("list")
        cli("delete", "--force", id)
        assert_nothing_left(cli, bundle, id)


def test_killed_while_starting(cli: CommandLine, bundle: Bundle) -> None:
    bundle.hook("startContainer", "exit", "0").hook("poststart", "exit", "0")
    cli("create", "-b", bundle.path, "c-start-all")
    total = calls_of(cli, "start", "c-start-all")
    cli("delete", "--force", "c-start-all")
    for number in points(total):
        id = f"c-start-{number}"
        cli("create", "-b", bundle.path, id)
        assert drive(cli, number, "start", id)[0] in KILLED
        assert cli.status(id) in ("created", "running")
        cli("delete", "--force", id)
        assert_nothing_left(cli, bundle, id)


def test_killed_while_deleting(cli: CommandLine, bundle: Bundle) -> None:
    cli("create", "-b", bundle.path, "c-delete-all")
    total = calls_of(cli, "delete", "--force", "c-delete-all")
    for number in points(total):
        id = f"c-delete-{number}"
        cli("create", "-b", bundle.path, id)
        assert drive(cli, number, "delete", "--force", id)[0] in KILLED
        assert cli.status(id) in ("", "created", "stopped")
        cli("delete", "--force", id)
        assert_nothing_left(cli, bundle, id)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"id": 1}', "\0"])
def test_a_damaged_state_is_an_error_and_can_be_removed(cli: CommandLine, text: str) -> None:
    directory = os.path.join(cli.root, "c-dam")
    os.makedirs(directory)
    with open(os.path.join(directory, "state.json"), "w") as file:
        file.write(text)
    for words in (["state"], ["start"], ["kill"], ["delete"]):
        done = cli(*words, "c-dam", check=False)
        assert done.returncode == 1
        assert "is damaged" in done.stderr
    assert "c-dam" in cli("list").stderr
    cli("delete", "--force", "c-dam")
    assert os.listdir(cli.root) == []
