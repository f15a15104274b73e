"""NOTIFY_SOCKET, LISTEN_FDS and --pidfd-socket: what service managers and engines hand to the runtime, and get back."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine


class Manager:
    """A service manager's socket; answers barriers by closing them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self.socket.settimeout(20)

    def lines(self) -> list[str]:
        """The messages up to a barrier."""
        found = []
        while True:
            data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4))
            for _level, _kind, raw in control:
                os.close(array.array("i", raw)[0])
            found.append(data.decode().strip())
            if found[-1] == "BARRIER=1":
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    path = str(tmp_path_factory.mktemp("m") / "s") if request.param == "path" else f"@seatrial-manager-{os.getpid()}"
    made = Manager(path)
    yield made
    made.socket.close()


def begin(cli: CommandLine, manager: Manager, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | {"NOTIFY_SOCKET": manager.path}
    return subprocess.Popen(cli.argv(*words), env=environment, stdin=subprocess.DEVNULL, **options)


def say(root: str, id: str, message: bytes) -> None:
    """Tell the runtime something in the program's place, by the same socket."""
    path = os.path.join(root, id, "notify", "notify.sock")
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
                program.connect(path)
                program.send(message)
                return
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def lines_of(path: str, count: int) -> list[Any]:
    """What a probe that goes on has written to a file, once it is so many lines."""
    deadline = time.monotonic() + 20
    while True:
        with open(path) as file:
            lines = file.read().splitlines(keepends=True)
        if len(lines) >= count and lines[count - 1].endswith("\n"):
            return [json.loads(line) for line in lines[:count]]
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)


def is_waiting(process: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.5)
    return process.poll() is None


@pytest.mark.parametrize("message", [b"READY=1", b"STATUS=nearly\nREADY=1\nSTATUS=there"], ids=["first", "later line"])
def test_start_waits_until_the_program_is_ready(
    cli: CommandLine, bundle: Bundle, manager: Manager, message: bytes
) -> None:
    assert begin(cli, manager, "create", "-b", bundle.path, "c-rdy").wait(30) == 0
    pid = cli.state("c-rdy")["pid"]
    start = begin(cli, manager, "start", "c-rdy")
    assert is_waiting(start)
    assert cli.status("c-rdy") == "running"
    say(cli.root, "c-rdy", b"STATUS=starting")
    assert is_waiting(start)
    say(cli.root, "c-rdy", message)
    assert manager.lines() == ["READY=1", f"MAINPID={pid}", "BARRIER=1"]
    assert start.wait(30) == 0
    cli("delete", "--force", "c-rdy")


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_detached_run_waits_too(cli: CommandLine, bundle: Bundle, manager: Manager) -> None:
    run = begin(cli, manager, "run", "-d", "-b", bundle.path, "c-rdd")
    say(cli.root, "c-rdd", b"READY=1")
    assert manager.lines() == ["READY=1", f"MAINPID={cli.state('c-rdd')['pid']}", "BARRIER=1"]
    assert run.wait(30) == 0
    cli("delete", "--force", "c-rdd")


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_run_in_the_foreground_is_the_main_process_itself(cli: CommandLine, bundle: Bundle, manager: Manager) -> None:
    bundle.config["process"]["noNewPrivileges"] = True
    bundle.args("signal-log", "30", "--until", "SIGTERM")
    run = begin(cli, manager, "run", "-b", bundle.path, "c-rdf", stdout=subprocess.DEVNULL)
    say(cli.root, "c-rdf", b"READY=1")
    assert manager.lines() == ["READY=1", f"MAINPID={run.pid}", "BARRIER=1"]
    assert is_waiting(run)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 0
    assert cli.status("c-rdf") == ""


@pytest.mark.parametrize("manager", ["path"], indirect=True)
@pytest.mark.parametrize("verb", ["start", "run -d", "run"])
def test_the_programs_end_ends_the_waiting(cli: CommandLine, bundle: Bundle, manager: Manager, verb: str) -> None:
    bundle.args("print", "x")
    words = ["-b", bundle.path]
    if verb == "start":
        assert begin(cli, manager, "create", *words, "c-rde").wait(30) == 0
        words = []
    assert begin(cli, manager, *verb.split(), *words, "c-rde", stdout=subprocess.DEVNULL).wait(30) == 0
    manager.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.lines()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_what_the_program_sees_of_it(cli: CommandLine, bundle: Bundle, manager: Manager) -> None:
    """A mount that nothing can be made in, the socket in it, and the variable; a process of exec has none."""
    bundle.args("report", "--", "stat", "/run/notify/notify.sock", "--", "touch", "/run/notify/x", "--", "hold")
    output = os.path.join(cli.root + ".out")
    with open(output, "w") as file:
        run = begin(cli, manager, "run", "-d", "-b", bundle.path, "c-rdv", stdout=file)
        say(cli.root, "c-rdv", b"READY=1")
        manager.lines()
        assert run.wait(30) == 0
    report, found, touched = lines_of(output, 3)
    assert "NOTIFY_SOCKET=/run/notify/notify.sock" in report["env"]
    (mount,) = [entry for entry in report["mounts"] if entry["target"] == "/run/notify"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount["options"].split(","))
    assert (found["value"]["type"], found["value"]["mode"] & 0o777) == ("s", 0o777)
    assert touched["errno"] == "EROFS"
    other = json.loads(cli("exec", "c-rdv", "/probe", "report").stdout)
    assert not [entry for entry in other["env"] if entry.startswith("NOTIFY_SOCKET=")]
    cli("delete", "--force", "c-rdv")


# -- LISTEN_FDS --------------------------------------------------------------------------------------------------------


def activated(cli: CommandLine, *words: str, count: int, more: int = 0, pid: str = "$$") -> list[Any]:
    """Run a command with `count` listening sockets from 3 up, and `more` other descriptors after them."""
    redirections = " ".join(f"{3 + number}</dev/null" for number in range(count + more))
    script = f'LISTEN_FDS={count} LISTEN_PID={pid} exec "$@" {redirections}'
    done = subprocess.run(["/bin/bash", "-c", script, "sh", *cli.argv(*words)], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("count", "more"), [(1, 0), (5, 0), (2, 3), (9, 2)])
def test_sockets_of_activation_reach_the_program(cli: CommandLine, bundle: Bundle, count: int, more: int) -> None:
    bundle.args("report")
    (report,) = activated(cli, "run", "--preserve-fds", str(more), "-b", bundle.path, "c-lis", count=count, more=more)
    assert [entry["fd"] for entry in report["fds"]] == list(range(3 + count + more))
    assert {f"LISTEN_FDS={count}", "LISTEN_PID=1"} <= set(report["env"])
    assert report["pid"] == 1


@pytest.mark.parametrize("pid", ["1", ""])
def test_sockets_for_another_process_are_not_passed(cli: CommandLine, bundle: Bundle, pid: str) -> None:
    bundle.args("report")
    (report,) = activated(cli, "run", "-b", bundle.path, "c-lio", count=3, pid=pid)
    assert [entry["fd"] for entry in report["fds"]] == [0, 1, 2]
    assert not [entry for entry in report["env"] if entry.startswith("LISTEN_")]


# -- --pidfd-socket ----------------------------------------------------------------------------------------------------


def received_pidfd(listener: socket.socket) -> tuple[bytes, int]:
    """The payload, and the pid behind the descriptor."""
    listener.settimeout(20)
    peer, _ = listener.accept()
    with peer:
        data, control, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4))
    fd = array.array("i", control[0][2])[0]
    with open(f"/proc/self/fdinfo/{fd}") as file:
        pid = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    os.close(fd)
    return data, pid


@pytest.mark.parametrize("verb", ["create", "run"])
def test_pidfd_of_init_and_of_a_process_of_exec(
    cli: CommandLine, bundle: Bundle, verb: str, tmp_path: os.PathLike[str]
) -> None:
    path = os.path.join(tmp_path, "pidfd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        detach = ["-d"] if verb == "run" else []
        cli(verb, *detach, "--pidfd-socket", path, "-b", bundle.path, "c-pfd")
        assert received_pidfd(listener) == (b"standard", cli.state("c-pfd")["pid"])
        pid_file = os.path.join(tmp_path, "pid")
        cli("exec", "-d", "--pid-file", pid_file, "--pidfd-socket", path, "c-pfd", "/probe", "hold")
        with open(pid_file) as file:
            assert received_pidfd(listener) == (b"setns", int(file.read()))
    cli("delete", "--force", "c-pfd")


def test_without_a_listener_nothing_is_made(cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "nobody")
    done = cli("create", "--pidfd-socket", path, "-b", bundle.path, "c-pfn", check=False)
    assert done.returncode == 1
    assert f"connect to the pidfd socket {path}: ENOENT" in done.stderr
    assert cli.status("c-pfn") == ""


# -- the session keyring -----------------------------------------------------------------------------------------------


def test_init_and_exec_have_the_containers_session_keyring(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("report", "--", "hold")
    output = cli.root + ".out"
    with open(output, "w") as file:
        command = cli.argv("run", "-d", "-b", bundle.path, "c-key")
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, check=True, timeout=60)
    init = lines_of(output, 1)[0]["keyring"]
    joined = json.loads(cli("exec", "c-key", "/probe", "report").stdout)["keyring"]
    assert init["session"] == joined["session"] == "_ses.c-key"
    assert init["id"] == joined["id"]
    assert init["permissions"] & 0x80000  # KEY_USR_SEARCH
    cli("delete", "--force", "c-key")


def test_no_new_keyring_keeps_the_callers(cli: CommandLine, bundle: Bundle) -> None:
    bundle.args("report")
    done = cli("run", "--no-new-keyring", "-b", bundle.path, "c-nky")
    assert json.loads(done.stdout)["keyring"]["session"] != "_ses.c-nky"
