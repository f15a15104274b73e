"""A runtime that is killed at any of its steps leaves what `delete --force` removes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from bundles import Bundle, CommandLine

SWEEP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crash_sweep.py")
HOOKS = ("createRuntime", "createContainer", "startContainer", "poststart")


def sweep(root: str, bundle: Bundle, kind: str, verb: str, first: int = 1, stride: int = 1) -> int:
    """How many points the verb was killed at."""
    for hook in HOOKS:
        bundle.hook(hook, "exit", "0")
    command = [sys.executable, SWEEP, kind, root, bundle.path, verb, str(first), str(stride)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    points: int = json.loads(done.stdout)["points"]
    return points


@pytest.mark.parametrize(
    ("verb", "least"),
    [("create", 60), ("run", 60), ("start", 15), ("exec", 30), ("update", 20), ("pause", 10), ("resume", 10),
     ("delete", 15)],
)  # fmt: skip
def test_killed_at_each_step_of_the_parent(cli: CommandLine, bundle: Bundle, verb: str, least: int) -> None:
    assert sweep(cli.root, bundle, "calls", verb) >= least


@pytest.mark.parametrize(("verb", "least"), [("create", 30), ("run", 30), ("start", 2), ("exec", 15)])
def test_killed_after_each_operation_of_the_plan(cli: CommandLine, bundle: Bundle, verb: str, least: int) -> None:
    assert sweep(cli.root, bundle, "operations", verb) >= least


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
