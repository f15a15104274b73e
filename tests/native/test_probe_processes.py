"""Verbs that stay, start or end processes, use things up, or make system calls."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from probe_run import PROBE, next_line, probe, start

X86 = platform.machine() == "x86_64"


def test_hold_ends_on_sigterm() -> None:
    with start("hold", "--", "print", "never") as process:
        assert next_line(process) == {"verb": "hold", "args": [], "value": None, "ok": True, "errno": None}
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == b""


def test_hold_for_a_time_then_goes_on() -> None:
    began = time.monotonic()
    run = probe("hold", "0.2", "--", "print", "after")
    assert [line["verb"] for line in run.lines] == ["hold", "print"]
    assert 0.2 <= time.monotonic() - began < 5


def test_hold_ends_at_the_end_of_stdin() -> None:
    with start("hold", "--stdin", stdin=subprocess.PIPE) as process:
        next_line(process)
        assert process.stdin is not None
        process.stdin.write(b"not yet")
        process.stdin.flush()
        time.sleep(0.05)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(10) == 0


def test_other_signals_end_hold() -> None:
    with start("hold") as process:
        next_line(process)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(10) == -signal.SIGUSR1


@pytest.mark.root
def test_hold_ends_on_sigterm_as_pid_1() -> None:
    with start("unshare", "pid", "--", "child", "hold") as process:
        assert next_line(process)["ok"]
        assert next_line(process)["verb"] == "hold"
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            (child,) = (int(word) for word in file.read().split())
        with open(f"/proc/{child}/status", encoding="ascii") as file:
            assert file.read().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
        os.kill(child, signal.SIGTERM)
        assert next_line(process)["value"] == {"exit": 0, "signal": None}


def test_signal_log() -> None:
    with start("signal-log", "20", "--until", "TERM") as process:
        assert next_line(process)["value"] == "ready"
        sent = [signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGCONT, signal.SIGRTMIN + 1, 32, signal.SIGTERM]
        for number in sent:
            os.kill(process.pid, number)
            line = next_line(process)
            assert (line["verb"], line["value"]["number"], line["value"]["pid"]) == ("signal", number, os.getpid())
            assert line["value"]["uid"] == os.getuid()
        assert process.wait(10) == 0


def test_signal_log_names_and_time() -> None:
    began = time.monotonic()
    run = probe("child", "kill", "0", "0", "--", "signal-log", "0.3", "--until", "none", "--", "print", "end")
    assert [line["verb"] for line in run.lines] == ["kill", "child", "signal-log", "print"]
    assert 0.3 <= time.monotonic() - began < 5
    with start("signal-log", "20", "--until", "RTMIN+3") as process:
        next_line(process)
        process.send_signal(signal.SIGRTMIN + 3)
        assert next_line(process)["value"]["signal"] == "SIGRTMIN+3"
        assert process.wait(10) == 0


def test_sleep_exit_fail() -> None:
    began = time.monotonic()
    assert probe("sleep", "0.1", "--", "exit", "255").status == 255
    assert time.monotonic() - began >= 0.1
    run = probe("fail", "7", "bad luck")
    assert (run.status, run.errors) == (7, b"probe: bad luck\n")
    assert probe("fail", "1", "x" * 9000).status == 1


def test_exec(tmp_path: Path) -> None:
    run = probe("exec", PROBE, "print", "again")
    assert run.only["value"] == "again"
    run = probe("exec", str(tmp_path / "none"), "--", "print", "still here")
    assert [line["errno"] for line in run.lines] == ["ENOENT", None]
    run = probe("exec-check", PROBE, "exit", "9")
    assert [line["verb"] for line in run.lines] == ["exit", "exec-check"]
    assert run.value == {"exit": 9, "signal": None}
    assert probe("exec-check", str(tmp_path)).errno == "EACCES"
    assert probe("exec-check", "/proc/self/status").errno == "EACCES"
    assert probe("exec-check", str(tmp_path / "none")).errno == "ENOENT"


def test_exec_writes_where_the_probe_writes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert probe("--to", str(out), "exec-check", PROBE, "print", "x").output == b""
    assert [json.loads(line)["verb"] for line in out.read_text().splitlines()] == ["print", "exec-check"]


def test_child() -> None:
    run = probe("child", "exit", "5", "--", "getpid")
    assert run.lines[1]["value"] == {"exit": 5, "signal": None}
    run = probe("child", "getpid", "--", "getpid")
    assert run.lines[0]["value"] != run.lines[2]["value"]
    run = probe("child", "syscall", "kill", "0", "0", "--", "child", "report")
    assert "schema" in run.lines[2]
    assert run.lines[3]["value"]["exit"] == 0
    run = probe("child", "nosuch")
    assert run.status == 64
    assert run.only["error"]


@pytest.mark.root
def test_suid() -> None:
    with tempfile.TemporaryDirectory() as directory:  # tmp_path has parents that only root may search
        os.chmod(directory, 0o755)
        program = shutil.copyfile(PROBE, os.path.join(directory, "probe"))
        os.chmod(program, 0o4755)
        words = ["setgroups", "--", "setgid", "1000", "--", "setuid", "1000", "--", "exec", program, "suid-check"]
        run = probe(*words)
    assert run.value == {"uid": [1000, 0, 0], "gid": [1000, 1000, 1000], "secure": True}
    assert probe("suid-check").value["secure"] is False


@pytest.mark.root
def test_ids_can_be_given_up() -> None:
    run = probe("setgroups", "1", "2", "--", "setgid", "3", "--", "setuid", "4", "--", "report", "--", "setuid", "0")
    assert run.lines[3]["ids"] == {"uid": [4] * 4, "gid": [3] * 4, "groups": [1, 2]}
    assert run.errno == "EPERM"
    assert probe("setuid", "4", "--", "setgid", "5").errno == "EPERM"
    assert probe("setuid", "4", "--", "setgroups", "0").errno == "EPERM"


def test_kill() -> None:
    assert probe("kill", "999999999", "0").errno == "ESRCH"
    with start("hold") as process:
        next_line(process)
        assert probe("kill", str(process.pid), "SIGKILL").lines[0]["ok"]
        assert process.wait(10) == -9


def test_memory() -> None:
    assert probe("memory", "8M").value == 8 << 20
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))

    assert probe("memory", "1G", before=limit).errno == "ENOMEM"


def test_fork() -> None:
    assert probe("fork", "5").value == 5


@pytest.mark.root
def test_fork_beyond_a_limit() -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (4, 4))
        os.setuid(54321)

    run = probe("fork", "10", before=limit)
    assert run.errno == "EAGAIN"
    assert run.only["value"] == 3


def test_churn(tmp_path: Path) -> None:
    path = tmp_path / "count"
    run = probe("churn", str(path), "0.2", "--", "print", "over")
    assert [line["verb"] for line in run.lines] == ["churn", "print"]
    assert int(path.read_text()) > 1
    assert len(path.read_text()) == 21


def test_kill_itself() -> None:
    run = probe("print", "before", "--", "kill", "self", "USR1", "--", "print", "after")
    assert [line["value"] for line in run.lines] == ["before"]


def test_cpu() -> None:
    value = probe("cpu", "0.05").value
    assert value["wall"] >= 50_000_000
    assert 0 < value["cpu"] <= value["wall"] * 2


def test_syscall(tmp_path: Path) -> None:
    assert probe("syscall", "getppid").value == os.getpid()
    assert probe("syscall", "mkdirat", "-100", f"str:{tmp_path}/d", "0700").value == 0
    assert (tmp_path / "d").is_dir()
    assert probe("syscall", "openat", "-100", "null", "0").errno == "EFAULT"
    assert probe("syscall", "getrandom", "buf:16", "16", "0").value == 16
    assert probe("syscall", "99999").errno == "ENOSYS"
    assert probe("syscall", "kill", "0x7fffffff", "0").errno == "ESRCH"
    assert probe("syscall", "personality", "0xffffffff").value == 0
    if X86:
        assert probe("syscall", "39").value > 0


@pytest.mark.parametrize("call", ["vfork", "fork"] if X86 else [])
def test_syscall_that_forks(call: str) -> None:
    run = probe("syscall", call, "--", "print", "once")
    assert [line["verb"] for line in run.lines] == ["syscall", "print"]
    assert run.lines[0]["value"] > 0


@pytest.mark.skipif(not X86, reason="an x86-64 kernel's 32-bit entry")
def test_syscall_32() -> None:
    run = probe("syscall-32", "64", "--", "syscall-32", "6", "-1")  # getppid, close
    if run.lines[0]["errno"] == "ENOSYS" or run.status == -signal.SIGSEGV:
        pytest.skip("the kernel has no 32-bit entry")
    assert run.lines[0]["value"] == os.getpid()
    assert run.errno == "EBADF"


def test_syscall_in_a_thread_and_in_a_tracee() -> None:
    assert probe("syscall-thread", "getppid").value == {"killed": False, "errno": None}
    assert probe("syscall-thread", "close", "-1").value == {"killed": False, "errno": "EBADF"}
    assert probe("syscall-trap", "getppid").value == os.getpid()
    assert probe("syscall-trap", "close", "-1").errno == "EBADF"
    assert probe("syscall-trace", "getppid").value == {"event": False, "data": 0}


def test_descriptors() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"from outside")
        run = probe(
            "read-fd",
            str(reader),
            "--",
            "write-fd",
            str(writer),
            "xy",
            "--",
            "read-fd",
            str(reader),
            pass_fds=[reader, writer],
        )
        assert [line["value"] for line in run.lines] == ["from outside", 2, "xy"]
        assert probe("read-fd", str(reader), pass_fds=[reader]).errno == "EAGAIN"
    finally:
        os.close(reader)
        os.close(writer)
    assert probe("read-fd", "77").errno == "EBADF"
    assert probe("write-fd", "77", "x").errno == "EBADF"
    assert probe("write-fd", "1", "raw\n").output.startswith(b"raw\n")
    assert [entry["fd"] for entry in probe("fd-list").value] == [0, 1, 2]


def test_terminals() -> None:
    assert probe("tty-info", before=os.setsid).value["controlling"] is False
    assert probe("ioctl-tiocsti").errno in ("ENOTTY", "EPERM")
    value = probe("open-pty").value
    assert value["peer"] is True
    assert value["name"] == f"/dev/pts/{value['number']}"
    assert probe("open-pty", "/dev/null").errno == "ENOTTY"


def test_sockets(tmp_path: Path) -> None:
    assert probe("socket", "unix", "stream").lines[0]["ok"]
    assert probe("socket", "inet", "stream", "250").errno == "EPROTONOSUPPORT"
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert probe("bind-port", str(server.getsockname()[1])).errno == "EADDRINUSE"
    assert probe("bind-port", "0").value > 0
    path = str(tmp_path / "s")
    assert probe("connect", path).errno == "ENOENT"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert probe("connect", path).errno == "ECONNREFUSED"
        server.listen()
        assert probe("connect", path).lines[0]["ok"]
    assert probe("connect", "@seatrial-nobody-listens").errno == "ECONNREFUSED"
    assert probe("connect", "x" * 200).errno == errno.errorcode[errno.ENAMETOOLONG]


STATE = {"ociVersion": "1.2.0", "annotations": {"pid": 7, "x": '"pid":8'}, "id": "a", "status": "creating", "pid": 0}


def test_state_to(tmp_path: Path) -> None:
    state = json.dumps(STATE).encode() + b"\xff"
    target = tmp_path / "state"
    target.write_text("old and longer than the new one" * 20)
    assert probe("state-to", str(target), stdin=state).value == len(state)
    assert target.read_bytes() == state
    assert os.listdir(tmp_path) == ["state"]
    assert probe("state-to", str(tmp_path / "no" / "state"), stdin=b"x").errno == "ENOENT"


def test_state_to_append(tmp_path: Path) -> None:
    target = str(tmp_path / "log")
    state = json.dumps({**STATE, "pid": os.getpid()})
    for name in ("first", "second"):
        run = probe("state-to", "--append", target, name, stdin=state.encode(), cwd="/", env={"K": "v"}, argv0="hook")
        assert run.value == len(state)
    first, second = (json.loads(line) for line in Path(target).read_text().splitlines())
    assert (first["hook"], second["hook"]) == ("first", "second")
    assert first["time"] < second["time"]
    assert first["state"] == state
    assert (first["cwd"], first["env"], first["argv"][0]) == ("/", ["K=v"], "hook")
    assert first["namespaces"]["mnt"] == os.stat("/proc/self/ns/mnt").st_ino
    assert first["root"]["ino"] == os.stat("/").st_ino
    container = first["container"]
    assert container["pid"] == os.getpid()
    assert (container["root"], container["exe"]) == ("/", os.readlink("/proc/self/exe"))
    assert container["mountinfo"].splitlines()[0] in first["mountinfo"]


@pytest.mark.parametrize("state", [b"", b"{", b'"pid', b'{"pid', b'{"pid":', b'{"a\\', b"[1,2", b"{}" * 100, b"\0" * 9])
def test_state_to_append_takes_anything(state: bytes, tmp_path: Path) -> None:
    target = tmp_path / "log"
    assert probe("state-to", "--append", str(target), stdin=state).value == len(state)
    line = json.loads(target.read_text())
    assert (line["hook"], line["container"], line["state"]) == (None, None, state.decode())


def test_hook_outlives_a_closed_stdout(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [PROBE, "state-to", str(tmp_path / "state")]
    done = subprocess.run(command, input=b"{}", stdout=writer, check=False, timeout=10)
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "state").read_bytes() == b"{}"
