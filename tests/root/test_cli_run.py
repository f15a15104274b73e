"""`run`, `create` and `start` from the command line: exit statuses, signals, descriptors, pid files, output formats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from bundles import Bundle, CommandLine, cgroups, processes_of


def wait_for(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_run_returns_the_exit_status_and_leaves_nothing(cli: CommandLine, bundle: Bundle, status: int) -> None:
    bundle.args("print", "hello", "--", "exit", str(status))
    done = cli("run", "--bundle", bundle.path, "c-run", check=False)
    assert done.returncode == status
    assert "hello" in done.stdout
    assert done.stderr == ""
    assert os.listdir(cli.root) == []
    assert cgroups("c-run") == []


def test_run_reports_a_death_by_signal(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"] = [{"type": "mount"}]  # pid 1 of a namespace ignores its own signals
    bundle.args("syscall", "kill", "0", "9")
    with subprocess.Popen(cli.argv("run", "-b", bundle.path, "c-sig"), start_new_session=True) as run:
        assert run.wait(30) == 137


def test_run_keeps_the_container_when_told(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("exit", "3")
    assert cli("run", "--keep", f"--bundle={bundle.path}", "c-keep", check=False).returncode == 3
    assert cli.status("c-keep") == "stopped"
    cli("delete", "c-keep")


def test_run_passes_signals_on(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("signal-log", "20", "--until", "SIGTERM")
    run = subprocess.Popen(cli.argv("run", "-b", bundle.path, "c-fwd"), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: cli.status("c-fwd") == "running")
    time.sleep(0.3)  # the probe installs its handlers
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
        run.send_signal(number)
        time.sleep(0.1)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 0
    for name in ("SIGUSR1", "SIGHUP", "SIGTERM"):
        assert name in out


def test_interrupted_setup_cleans_up(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    bundle.hook("createRuntime", "touch", os.path.join(tmp_path, "there"), "--", "sleep", "60")
    create = cli.begin("create", "-b", bundle.path, "c-int")
    wait_for(lambda: os.path.exists(os.path.join(tmp_path, "there")))
    assert cli.state("c-int")["status"] == "creating"
    assert cli.state("c-int")["pid"] > 0
    create.process.terminate()
    done = create.end()
    assert done.returncode == 128 + signal.SIGTERM
    assert "interrupted by signal 15" in done.stderr
    assert cli.status("c-int") == ""
    assert processes_of(bundle.rootfs) == []
    assert cgroups("c-int") == []


def test_detached_run_returns_while_the_program_runs(
    cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]
) -> None:
    pid_file = os.path.join(tmp_path, "pid")
    cli("run", "-d", "-b", bundle.path, "--pid-file", pid_file, "c-det")
    state = cli.state("c-det")
    assert state["status"] == "running"
    with open(pid_file) as file:
        assert file.read() == str(state["pid"])
    assert cli("delete", "c-det", check=False).returncode == 1
    assert cli.status("c-det") == "running"
    cli("delete", "--force", "c-det")
    assert cli.status("c-det") == ""


def test_preserved_descriptors_keep_their_numbers(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    where = os.path.join(tmp_path, "three")
    bundle.args("write-fd", "3", "through", "--", "fd-list")
    command = cli.argv("run", "--preserve-fds", "1", "-b", bundle.path, "c-fds")
    shell = ["/bin/sh", "-c", 'exec "$@" 3>"$0"', where, *command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, timeout=30)
    with open(where) as file:
        assert file.read() == "through"
    assert listed_fds(done.stdout.splitlines()[1]) == [0, 1, 2, 3]


def listed_fds(line: str) -> list[int]:
    return sorted(entry["fd"] for entry in json.loads(line)["value"])


def test_other_descriptors_do_not_reach_program_or_hooks(
    cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]
) -> None:
    seen = os.path.join(tmp_path, "seen")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"ls /proc/self/fd > {seen}"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    bundle.args("fd-list")
    command = cli.argv("run", "-b", bundle.path, "c-leak")
    shell = ["/bin/sh", "-c", 'exec "$@" 9</dev/null', "sh", *command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, timeout=30)
    assert listed_fds(done.stdout.splitlines()[0]) == [0, 1, 2]
    with open(seen) as file:
        assert "9" not in file.read().split()


def test_closed_standard_files_are_survived(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("touch", "/done")
    command = " ".join(cli.argv("run", "-b", bundle.path, "c-closed"))
    done = subprocess.run(["/bin/sh", "-c", f"exec {command} <&- >&-"], timeout=30, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(os.path.join(bundle.rootfs, "done"))


def test_list_in_both_formats(cli: CommandLine, bundle: Bundle) -> None:
    assert cli("list", "--format", "json", check=False).returncode == 1  # an explicit root that does not exist
    os.makedirs(cli.root)
    assert cli("list", "-f", "json").stdout == "null\n"
    cli("create", "-b", bundle.path, "c-list")
    entries = json.loads(cli("list", "-f", "json").stdout)
    state = cli.state("c-list")
    assert entries == [state | {"owner": "root"}]
    header, row = cli("list").stdout.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split() == ["c-list", str(state["pid"]), "created", bundle.path, state["created"], "root"]
    assert cli("list", "-q").stdout == "c-list\n"


def test_the_start_of_a_program_that_cannot_be_executed_is_an_error(cli: CommandLine, bundle: Bundle) -> None:
    with open(os.path.join(bundle.rootfs, "bad"), "w") as file:
        file.write("not a program")
    os.chmod(file.name, 0o755)
    bundle.config["process"]["args"] = ["/bad"]
    bundle.write()
    cli("create", "-b", bundle.path, "c-bad")
    done = cli("start", "c-bad", check=False)
    assert done.returncode == 1
    assert "exec: ENOEXEC" in done.stderr
    assert cli.status("c-bad") == "stopped"
    cli("delete", "c-bad")


def test_the_log_gets_what_stderr_gets(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    log = os.path.join(tmp_path, "log")
    done = cli("--log", log, "--log-format", "json", "create", "-b", "/nonexistent", "c-log", check=False)
    assert done.returncode == 1
    with open(log) as file:
        record = json.load(file)
    assert record["level"] == "error"
    assert done.stderr == f"seatrial-runtime: {record['msg']}\n"
    assert time.strptime(record["time"], "%Y-%m-%dT%H:%M:%SZ")


def test_spec_features_and_plan(cli: CommandLine, tmp_path: os.PathLike[str]) -> None:
    cli("spec", "-b", str(tmp_path))
    assert cli("spec", "-b", str(tmp_path), check=False).returncode == 1
    with open(os.path.join(tmp_path, "config.json")) as file:
        assert json.load(file)["process"]["args"] == ["sh"]
    os.mkdir(os.path.join(tmp_path, "rootfs"))
    lines, devices = (part.splitlines() for part in cli("plan", "-b", str(tmp_path)).stdout.split("\n\n"))
    document = json.loads(cli("plan", "-b", str(tmp_path), "--format", "json").stdout)
    operations = document["operations"]
    assert len(lines) == len(operations) > 30
    assert document["devices"]["rules"][0] == "deny a *:* rwm"
    assert [line.strip() for line in devices if ": r" in line or "exit" in line][-1] == (
        document["devices"]["instructions"][-1]
    )
    assert operations[-1]["name"] == "exec"
    assert "pivot_root" in [operation["name"] for operation in operations]
    assert json.loads(cli("features").stdout)["ociVersionMax"] == "1.3.0"
    assert not os.path.exists(cli.root)
