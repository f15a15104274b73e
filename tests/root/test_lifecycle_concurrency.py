"""Several runtimes at one container: one wins, the others say clearly why not, nobody hangs."""

from __future__ import annotations

import fcntl
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

from bundles import Bundle, CommandLine, Running, cgroups, processes_of


def all_at_once(commands: list[list[str]]) -> list[tuple[int, str]]:
    running = [Running(command) for command in commands]
    return [(done.returncode, done.stderr) for done in [one.end() for one in running]]


def test_creates_of_one_id_make_one_container(cli: CommandLine, bundle: Bundle) -> None:
    results = all_at_once([cli.argv("create", "-b", bundle.path, "c-two")] * 5)
    assert sorted(status for status, _ in results) == [0, 1, 1, 1, 1]
    assert all("exists already" in error for status, error in results if status)
    assert cli.status("c-two") == "created"
    assert len(processes_of(bundle.rootfs)) == 1
    cli("start", "c-two")
    assert cli.status("c-two") == "running"


def test_starts_of_one_container_run_its_program_once(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("append", "/ran", "x", "--", "hold")
    all_at_once([cli.argv("create", "-b", bundle.path, "c-st")])
    results = all_at_once([cli.argv("start", "c-st")] * 5)
    assert sorted(status for status, _ in results) == [0, 1, 1, 1, 1]
    for status, error in results:
        assert not status or "is running" in error or "another operation" in error
    with open(os.path.join(bundle.rootfs, "ran")) as file:
        assert file.read().count("x") == 1


def test_a_start_during_a_create_is_refused(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    bundle.hook("createRuntime", "wait-file", os.path.join(tmp_path, "go"), "30")
    create = cli.begin("create", "-b", bundle.path, "c-wait")
    deadline = time.monotonic() + 20
    while cli.status("c-wait") != "creating" or not cli.state("c-wait")["pid"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for words in (["start"], ["kill"], ["delete"]):
        done = cli(*words, "c-wait", check=False)
        assert done.returncode == 1
        assert "creating" in done.stderr or "another operation" in done.stderr
    assert cli("create", "-b", bundle.path, "c-wait", check=False).returncode == 1
    with open(os.path.join(tmp_path, "go"), "w"):
        pass
    assert create.end().returncode == 0
    cli("start", "c-wait")


def test_a_start_waits_for_an_operation_that_is_under_way(cli: CommandLine, bundle: Bundle) -> None:
    """`update`, for example, has the lock for a moment; only while `create` is under way a refusal is owed."""
    cli("create", "-b", bundle.path, "c-held")
    directory = os.open(os.path.join(cli.root, "c-held"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        start = cli.begin("start", "c-held")
        time.sleep(0.5)
        fcntl.flock(directory, fcntl.LOCK_UN)
    finally:
        os.close(directory)
    done = start.end()
    assert done.returncode == 0, done.stderr
    assert cli.status("c-held") == "running"


def test_forced_delete_breaks_a_create_off(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    marker = os.path.join(tmp_path, "poststop")
    bundle.hook("createRuntime", "sleep", "60").hook("poststop", "touch", marker)
    create = cli.begin("create", "-b", bundle.path, "c-off")
    deadline = time.monotonic() + 20
    while cli.status("c-off") != "creating" or not cli.state("c-off")["pid"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    cli("delete", "--force", "c-off")
    assert time.monotonic() - began < 9
    assert create.end().returncode == 1
    assert cli.status("c-off") == ""
    assert os.path.exists(marker)
    assert processes_of(bundle.rootfs) == []
    assert cgroups("c-off") == []


def test_forced_delete_takes_what_a_create_has_made_meanwhile(cli: CommandLine, bundle: Bundle) -> None:
    """It comes before the state is written, and has the lock when all is done."""
    cli("create", "-b", bundle.path, "c-meanwhile")
    path = os.path.join(cli.root, "c-meanwhile")
    os.rename(os.path.join(path, "state.json"), os.path.join(path, "later"))
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        delete = cli.begin("delete", "--force", "c-meanwhile")
        time.sleep(0.5)
        os.rename(os.path.join(path, "later"), os.path.join(path, "state.json"))
        fcntl.flock(directory, fcntl.LOCK_UN)
    finally:
        os.close(directory)
    assert delete.end().returncode == 0
    assert processes_of(bundle.rootfs) == []
    assert cgroups("c-meanwhile") == []
    assert os.listdir(cli.root) == []


def test_deletes_at_once_leave_nothing_and_one_poststop(
    cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]
) -> None:
    log = os.path.join(tmp_path, "log")
    bundle.hook("poststop", "append", log, "x")
    bundle.args("exit", "0")
    cli("run", "--keep", "-b", bundle.path, "c-del")
    results = all_at_once([cli.argv("delete", "--force", "c-del")] * 4)
    assert [status for status, _ in results] == [0, 0, 0, 0]
    with open(log) as file:
        assert file.read().count("x") == 1
    assert cli("delete", "c-del", check=False).returncode == 1


def test_runtimes_at_odds_over_one_id_never_damage_it(cli: CommandLine, bundle: Bundle) -> None:
    verbs = [
        ["create", "-b", bundle.path, "c-odds"],
        ["run", "-d", "-b", bundle.path, "c-odds"],
        ["start", "c-odds"],
        ["kill", "c-odds", "KILL"],
        ["delete", "c-odds"],
        ["delete", "--force", "c-odds"],
        ["state", "c-odds"],
        ["list"],
    ]

    def one(seed: int) -> list[tuple[str, int, str]]:
        dice = random.Random(seed)
        results = []
        for _ in range(25):
            words = dice.choice(verbs)
            done = cli(*words, check=False)
            results.append((words[0], done.returncode, done.stderr))
        return results

    with ThreadPoolExecutor(4) as pool:
        results = [result for each in pool.map(one, range(4)) for result in each]
    assert {verb for verb, status, _ in results if status == 0} >= {"create", "state", "list", "delete"}
    for verb, status, error in results:
        assert status in (0, 1), (verb, error)
        assert "damaged" not in error, (verb, error)
        assert "internal error" not in error, (verb, error)
        assert verb != "list" or status == 0, error
    cli("delete", "--force", "c-odds")
    assert os.listdir(cli.root) == []
    assert processes_of(bundle.rootfs) == []
    assert cgroups("c-odds") == []
