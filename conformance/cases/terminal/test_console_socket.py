"""--console-socket, the convention of runc's documentation: what comes over it, and what is refused."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import detached
from seatrial.conformance.cases.process.test_terminal import create, with_terminal
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import EnvironmentProblem, Finding

pytestmark = [needs("tty"), profile("runc-compat")]

TERMINAL, SIZE = "config/process/4", "config/process/5"
LONGEST = 107  # bytes of a path in a sockaddr_un with its NUL, unix(7)


@contextlib.contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    """A console socket at a path of any length."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    try:
        made.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    except OSError as error:
        raise EnvironmentProblem(f"cannot listen at {path}: {error}") from error
    finally:
        os.close(directory)
    made.listen(4)
    made.settimeout(2)
    with made:
        yield made


def received(listener: socket.socket) -> tuple[list[int], list[bytes]]:
    """The descriptors and the messages of one connection, up to its end; Finding when the end does not come."""
    numbers = array.array("i")
    messages: list[bytes] = []
    try:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2)
            while True:
                payload, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
                for _, _, data in ancillary:
                    numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                if not payload:
                    return list(numbers), messages
                messages.append(payload)
    except TimeoutError:
        for number in numbers:
            os.close(number)
        raise Finding(f"the connection is still open after the messages {messages}") from None


def check_master(numbers: list[int], messages: list[bytes]) -> None:
    """One descriptor in one message with a name: the master of a pseudo-terminal."""
    try:
        assert len(numbers) == 1
        assert len(messages) == 1
        assert 0 < len(messages[0].rstrip(b"\0")) < 4096
        found = os.fstat(numbers[0])
        # /dev/ptmx is 5:2, and a master keeps the number of the file that it was opened by (pty(7)).
        assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (5, 2)
        assert os.isatty(numbers[0])
    finally:
        for number in numbers:
            os.close(number)


@covers(TERMINAL)
def test_message(runtime: Runtime, bundle: Bundle) -> None:
    """create sends one message, a name, with one descriptor, a master, and closes the connection."""
    with listening(bundle.outside("console")) as listener:
        runtime.create(with_terminal(bundle).probe("hold"), console_socket=bundle.outside("console"))
        check_master(*received(listener))


@needs("exec")
@covers(TERMINAL)
def test_message_of_exec(container: Container, bundle: Bundle) -> None:
    """So does exec."""
    path = bundle.outside("console")
    with listening(path) as listener, detached(container, PROBE, "hold", tty=True, console_socket=path):
        check_master(*received(listener))


@needs("command:run")
@covers(TERMINAL)
def test_run_in_the_background(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """`run --detach` returns while the program runs; its terminal has come by then."""
    with_terminal(bundle).probe("read-fd 0 -- hold", report=False)
    runtime.run(bundle, detach=True, console_socket=listener.path)
    terminal = listener.receive()
    terminal.write("typed\n")
    assert parse(terminal.read_until('"hold"')).verb("read-fd").value == "typed\n"


@covers(TERMINAL)
def test_output_waits_for_its_reader(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """What a program has written before it ended is read afterwards."""
    container, terminal = create(runtime, with_terminal(bundle).probe("print last-words", report=False), listener)
    container.start()
    container.wait_status("stopped")
    assert parse(terminal.read_to_end()).verb("print").value == "last-words"


def refused(runtime: Runtime, bundle: Bundle, **options: Any) -> None:
    """create must refuse the bundle with these options, and leave nothing."""
    runtime.prove_sane()
    container = runtime.create(bundle, check=False, **options)
    assert not container.created.ok, container.created.describe()
    assert not container.created.crashed, container.created.describe()
    assert not runtime.state(container.id).ok


@covers(TERMINAL, "runtime/errors/1")
def test_terminal_without_a_socket(runtime: Runtime, bundle: Bundle) -> None:
    """`create` of a container with a terminal needs somebody who takes it."""
    refused(runtime, with_terminal(bundle))


@covers("config/process/3", "runtime/errors/1")
def test_socket_without_a_terminal(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """A console socket for a process that has no terminal (youki 3528)."""
    refused(runtime, bundle, console_socket=listener.path)


@covers(TERMINAL, "runtime/errors/1")
@pytest.mark.parametrize("kind", ["missing", "file", "nobody"])
def test_socket_that_nobody_serves(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """Nothing at that path, a regular file, a socket whose owner has gone."""
    path = bundle.outside("console")
    if kind == "file":
        with open(path, "w", encoding="ascii"):
            pass
    elif kind == "nobody":
        with listening(path):
            pass
    refused(runtime, with_terminal(bundle), console_socket=path)


@covers(TERMINAL)
@pytest.mark.parametrize("length", [LONGEST, 150])
def test_long_path(runtime: Runtime, bundle: Bundle, length: int) -> None:
    """The longest path that unix(7) has room for; a longer one works too, by a detour (youki 2915, crun 1.27), or is
    refused."""
    directory = bundle.outside("")
    path = directory + "c" * (length - len(directory))
    if len(path) != length:
        pytest.skip("the bundle's own path is longer")
    with_terminal(bundle).probe("hold")
    with listening(path) as listener:
        if length <= LONGEST:
            runtime.create(bundle, console_socket=path)
            check_master(*received(listener))
            return
        runtime.prove_sane()
        container = runtime.create(bundle, check=False, console_socket=path)
        assert not container.created.crashed, container.created.describe()
        if container.created.ok:
            check_master(*received(listener))
        else:
            assert not runtime.state(container.id).ok


@covers(TERMINAL)
def test_keys_are_signals_of_the_first_process(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """Ctrl-C, Ctrl-Z and Ctrl-\\ typed at the master reach the container's process, which leads the session."""
    with_terminal(bundle).probe("signal-log 20 --until QUIT", report=False)
    container, terminal = create(runtime, bundle, listener)
    container.start()
    terminal.read_until('"ready"')
    for key, name in (("\x03", "SIGINT"), ("\x1a", "SIGTSTP"), ("\x1c", "SIGQUIT")):
        terminal.write(key)
        terminal.read_until(f'"{name}"')
    container.wait_status("stopped")


@needs("exec")
@covers(SIZE, "config/process/7", "config/process/8")
def test_size_of_a_process_document(container: Container, bundle: Bundle, listener: ConsoleSocket) -> None:
    """consoleSize of `exec --process FILE` is the terminal's from the start."""
    import json

    document = {
        "terminal": True, "consoleSize": {"height": 31, "width": 62}, "args": [PROBE, "tty-info"], "cwd": "/",
        "env": [], "user": {"uid": 0, "gid": 0},
    }  # fmt: skip
    path = bundle.outside("process.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    with detached(container, process=path, console_socket=listener.path):
        streams = parse(listener.receive().read_to_end()).verb("tty-info").value["streams"]
    assert [stream["winsize"] for stream in streams] == [[31, 62]] * 3


@needs("exec", "ids")
@covers(TERMINAL)
def test_executed_program_owns_its_terminal(container: Container, listener: ConsoleSocket) -> None:
    """--user: the terminal is the user's, who can open it anew."""
    words = [PROBE, "report", "--", "open", "/proc/self/fd/0", "rdwr"]
    with detached(container, *words, tty=True, user="1000:1000", console_socket=listener.path):
        report = parse(listener.receive().read_to_end())
    assert report["stdio"][0]["uid"] == 1000
    assert report.verb("open").errno is None


@needs("exec")
@covers(TERMINAL)
def test_hang_up_ends_an_executed_program(container: Container, listener: ConsoleSocket) -> None:
    """Closing the master sends SIGHUP to it: it leads the session of its terminal."""
    with detached(container, PROBE, "print", "ready", "--", "hold", tty=True, console_socket=listener.path) as pid:
        terminal = listener.receive()
        terminal.read_until('"hold"')
        pidfd = os.pidfd_open(pid)
        try:
            terminal.close()
            from seatrial.conformance.driver.execute import wait_pidfd

            assert wait_pidfd(pidfd, 5), "the program outlives its terminal"
        finally:
            os.close(pidfd)


@needs("ids")
@covers("config-linux/default-devices/7", TERMINAL)
def test_console_belongs_to_the_user(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """/dev/console is the very terminal, and so the user's too."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    with_terminal(bundle).probe("open /dev/console rdwr")
    container, terminal = create(runtime, bundle, listener)
    container.start()
    report = parse(terminal.read_to_end())
    assert report.device("/dev/console")["uid"] == 1000
    assert report.verb("open").errno is None


@covers("config-linux/default-devices/7", "config/root/4")
def test_console_on_a_read_only_root(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """root.readonly and a terminal go together, with /dev on a file system of its own (crun 1.27.1)."""
    bundle.config["root"]["readonly"] = True
    container, terminal = create(runtime, with_terminal(bundle).probe("touch /file"), listener)
    container.start()
    report = parse(terminal.read_to_end())
    assert report.verb("touch").errno == "EROFS"
    assert report.device("/dev/console")["major"] == 136


@needs("root", "userns")
@covers(TERMINAL, "config-linux/namespaces/7")
def test_user_namespace_without_the_terminal_group(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """A user namespace to which group 5, the terminals' on the host, is not mapped (runc 4679)."""
    bundle.user_namespace(size=5)
    for mount in bundle.config["mounts"]:
        mount["options"] = [option for option in mount.get("options", []) if option != "gid=5"]
    container, terminal = create(runtime, with_terminal(bundle).probe("tty-info"), listener)
    container.start()
    report = parse(terminal.read_to_end())
    assert [stream["tty"] for stream in report.verb("tty-info").value["streams"]] == [True] * 3
    assert report["stdio"][0]["uid"] == 0
