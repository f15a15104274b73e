"""Kill paths: who gets a signal, who does not, and what is left afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable

import pytest
from bundles import Bundle, CommandLine, cgroups, processes_of

SHARED = [{"type": "mount"}, {"type": "uts"}]


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def pids(cli: CommandLine, id: str) -> list[int]:
    return json.loads(cli("ps", "-f", "json", id).stdout) or []


def test_a_signal_is_for_init_alone_and_all_is_for_everybody(
    cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]
) -> None:
    bundle.args("signal-log", "60", "--until", "USR2", "--", "hold")
    with open(os.path.join(tmp_path, "init"), "w") as out:
        subprocess.run(cli.argv("run", "-d", "-b", bundle.path, "c-all"), check=True, stdout=out, timeout=60)
    with open(os.path.join(tmp_path, "second"), "w") as out:
        subprocess.run(
            cli.argv("exec", "-d", "c-all", "/probe", "signal-log", "60", "--until", "USR2", "--", "hold"),
            check=True, stdout=out, timeout=60,
        )  # fmt: skip

    def seen(name: str, signal: str) -> bool:
        with open(os.path.join(tmp_path, name)) as file:
            return signal in file.read()

    wait_for(lambda: seen("init", '"ready"') and seen("second", '"ready"'))
    cli("kill", "c-all", "HUP")
    wait_for(lambda: seen("init", "SIGHUP"))
    cli("kill", "--all", "c-all", "USR1")
    wait_for(lambda: seen("init", "SIGUSR1") and seen("second", "SIGUSR1"))
    assert not seen("second", "SIGHUP")
    cli("kill", "-a", "c-all", "KILL")
    wait_for(lambda: processes_of(bundle.rootfs) == [])
    assert cli.status("c-all") == "stopped"


def test_sigkill_leaves_nobody_where_pids_are_the_hosts(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"] = SHARED
    bundle.args("child", "child", "child", "hold")
    cli("run", "-d", "-b", bundle.path, "c-host")
    wait_for(lambda: len(pids(cli, "c-host")) == 4)
    cli("kill", "c-host", "KILL")
    wait_for(lambda: processes_of(bundle.rootfs) == [])
    assert cli.status("c-host") == "stopped"
    cli("delete", "c-host")
    assert cgroups("c-host") == []


@pytest.mark.parametrize("all", [True, False], ids=["kill --all", "delete"])
def test_what_outlives_init_is_ended(cli: CommandLine, bundle: Bundle, all: bool) -> None:
    """Init has ended, its children live on: the container is stopped, and keeps its cgroup busy."""
    bundle.config["linux"]["namespaces"] = SHARED
    bundle.args("child", "child", "hold")
    id = f"c-out{all:d}"
    cli("run", "-d", "-b", bundle.path, id)
    wait_for(lambda: len(pids(cli, id)) == 3)
    os.kill(cli.state(id)["pid"], 9)
    wait_for(lambda: cli.status(id) == "stopped")
    assert len(pids(cli, id)) == 2
    assert cli("kill", id, "KILL", check=False).returncode == 1
    assert len(pids(cli, id)) == 2
    if all:
        cli("kill", "--all", id, "KILL")
        wait_for(lambda: pids(cli, id) == [])
    cli("delete", id)
    wait_for(lambda: processes_of(bundle.rootfs) == [])
    assert cgroups(id) == []


def test_a_failed_kill_leaves_the_container_as_it_was(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"] = SHARED
    bundle.write()
    cli("run", "-d", "-b", bundle.path, "c-odd")
    for paused in (False, True):
        if paused:
            cli("pause", "c-odd")
        for words in (["c-odd", "99"], ["--all", "c-odd", "99"], ["c-odd", "NOSUCH"], ["c-odd", "-9999999999"]):
            assert cli("kill", *words, check=False).returncode == 1
            assert cli.status("c-odd") == ("paused" if paused else "running")
    cli("kill", "c-odd", "64")  # of the highest number
    cli("delete", "--force", "c-odd")


def test_a_recycled_pid_is_nobody_of_ours(cli: CommandLine, bundle: Bundle) -> None:
    """state.json names a pid that somebody else has now: the container is stopped, and nobody is touched."""
    cli("run", "-d", "-b", bundle.path, "c-reuse")
    path = os.path.join(cli.root, "c-reuse", "state.json")
    with open(path, encoding="utf-8") as file:
        state = json.load(file)
    init = state["init_process_pid"]
    os.kill(init, 9)
    wait_for(lambda: cli.status("c-reuse") == "stopped")
    with subprocess.Popen(["sleep", "1000"]) as victim:
        try:
            state["init_process_pid"] = victim.pid
            with open(path, "w", encoding="utf-8") as file:
                json.dump(state, file)
            assert cli.status("c-reuse") == "stopped"
            for words in (["kill", "c-reuse", "KILL"], ["pause", "c-reuse"], ["resume", "c-reuse"]):
                assert cli(*words, check=False).returncode == 1
            cli("kill", "--all", "c-reuse", "KILL")
            cli("delete", "--force", "c-reuse")
            assert victim.poll() is None
        finally:
            victim.kill()
    assert cgroups("c-reuse") == []
