"""Terminals: the console socket of detached containers, and the relay of a run in the foreground."""

from __future__ import annotations

import array
import fcntl
import json
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import time

import pytest
from bundles import Bundle, CommandLine


def read_until(fd: int, wanted: bytes, seconds: float = 20) -> bytes:
    text = b""
    deadline = time.monotonic() + seconds
    while wanted not in text and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 4096)
            except OSError:
                break
    return text


@pytest.mark.parametrize("long", [False, True])
def test_the_console_socket_gets_the_master(
    cli: CommandLine, bundle: Bundle, tmp_path: os.PathLike[str], long: bool
) -> None:
    directory = os.path.join(tmp_path, "d" * 120) if long else str(tmp_path)
    os.makedirs(directory, exist_ok=True)
    where = os.path.join(directory, "console.sock")
    fd = os.open(directory, os.O_PATH)
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["consoleSize"] = {"width": 123, "height": 45}
    bundle.args("tty-info", "--", "hold", "--stdin")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"/proc/self/fd/{fd}/console.sock")
        os.close(fd)
        listener.listen()
        cli("create", "-b", bundle.path, "--console-socket", where, "c-con")
        listener.settimeout(10)
        connection, _ = listener.accept()
        payload, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        connection.close()
    assert payload.startswith(b"/dev/")
    fds = array.array("i", ancillary[0][2])
    assert len(fds) == 1
    assert struct.unpack("HHHH", fcntl.ioctl(fds[0], termios.TIOCGWINSZ, b"\0" * 8))[:2] == (45, 123)
    cli("start", "c-con")
    text = read_until(fds[0], b'"hold"')
    assert json.loads(text.splitlines()[0])["verb"] == "tty-info"
    os.close(fds[0])


@pytest.mark.parametrize(
    ("terminal", "words", "problem"),
    [
        (True, ["create"], "needs --console-socket"),
        (True, ["run", "-d"], "needs --console-socket"),
        (False, ["create", "--console-socket", "/nonexistent"], "not set"),
        (True, ["run", "--console-socket", "/nonexistent"], "detached"),
        (True, ["create", "--console-socket", "/nonexistent"], "/nonexistent: ENOENT"),
    ],
)
def test_terminal_and_socket_must_fit(
    cli: CommandLine, bundle: Bundle, terminal: bool, words: list[str], problem: str
) -> None:
    bundle.config["process"]["terminal"] = terminal
    bundle.write()
    done = cli(*words, "-b", bundle.path, "c-fit", check=False)
    assert done.returncode == 1
    assert problem in done.stderr
    assert cli.status("c-fit") == ""


def test_a_run_in_the_foreground_relays_the_terminal(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    bundle.args("tty-info", "--", "read-fd", "0", "100", "--", "exit", "5")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(theirs)
    command = cli.argv("run", "-b", bundle.path, "c-tty")
    run = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    text = read_until(ours, b"tty-info")
    os.write(ours, b"typed\n")
    text += read_until(ours, b'"exit"')
    assert run.wait(20) == 5
    assert b"typed" in text
    assert b"77" in text
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
