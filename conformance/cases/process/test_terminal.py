"""config.md#process: terminal and consoleSize; config-linux.md#default-devices: /dev/console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.console import ConsoleSocket, Terminal
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.errors import Finding

pytestmark = needs("tty")

ROW = "config/process/"


@pytest.fixture
def listener(bundle: Bundle) -> Iterator[ConsoleSocket]:
    """A console socket in the bundle's directory."""
    with ConsoleSocket(bundle.outside("console")) as made:
        yield made


def with_terminal(bundle: Bundle, size: dict[str, int] | None = None) -> Bundle:
    """Ask for a terminal, of a size."""
    bundle.process["terminal"] = True
    if size is not None:
        bundle.process["consoleSize"] = size
    return bundle


def create(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket, **options: Any) -> tuple[Container, Terminal]:
    """A created container and its terminal."""
    container = runtime.create(bundle, console_socket=listener.path, **options)
    return container, listener.receive()


def ran(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> Report:
    """What the probe wrote to the container's terminal."""
    container, terminal = create(runtime, bundle, listener)
    container.start()
    return parse(terminal.read_to_end())


@covers(ROW + "4")
@pytest.mark.parametrize("uid", [0, pytest.param(1000, marks=needs("ids"))])
def test_terminal(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket, uid: int) -> None:
    """The standard streams are one new terminal, the controlling one of the process's session (config.md#process)."""
    bundle.process["user"] = {"uid": uid, "gid": uid}
    found = ran(runtime, with_terminal(bundle).probe("tty-info"), listener)
    info = found.verbs[0].value
    assert [stream["tty"] for stream in info["streams"]] == [True] * 3
    assert len({stream["ino"] for stream in found["stdio"]}) == 1
    assert info["controlling"] is True
    assert info["dev_tty"] is None
    assert found["sid"] == found["pid"] == found["pgid"]
    for stream in info["streams"]:
        assert stream["name"] == "/dev/console" or stream["name"].startswith("/dev/pts/")
        assert stream["foreground"] == found["pgid"]


@covers(ROW + "4")
def test_one_terminal_comes_over_the_socket(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """The master is the other end of the program's terminal, and nothing else is sent (config.md#process)."""
    container, terminal = create(runtime, with_terminal(bundle).probe("read-fd 0 -- hold", report=False), listener)
    terminal.write("typed\n")
    container.start()
    parsed = parse(terminal.read_until('"hold"'))
    assert parsed.verbs[0].value == "typed\n"
    assert not listener.waiting()
    assert container.output() == ""


@covers(ROW + "4")
def test_terminal_is_of_the_containers_devpts(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """The slave is in the container's /dev/pts (config.md#process)."""
    found = ran(runtime, with_terminal(bundle).probe("list /dev/pts -- stat /dev/pts/0"), listener)
    assert "0" in found.verbs[0].value
    slave = found.verbs[1].value
    assert (slave["type"], slave["major"], slave["minor"]) == ("c", 136, 0)
    assert (found["stdio"][0]["major"], found["stdio"][0]["minor"]) == (136, 0)


@profile("runc-compat")
@covers(ROW + "4")
def test_terminal_belongs_to_the_user(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """As runtimes do it: the process's user owns its terminal, and so can open it anew (config.md#process)."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = ran(runtime, with_terminal(bundle).probe("open /dev/pts/0 rdwr -- open /dev/tty rdwr"), listener)
    assert found["stdio"][0]["uid"] == 1000
    assert [verb.errno for verb in found.verbs] == [None, None]


@covers(ROW + "4")
def test_hang_up_ends_the_program(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """Closing the master sends SIGHUP to the session's leader (config.md#process)."""
    with_terminal(bundle).probe("signal-log 60 --until HUP", report=False)
    container, terminal = create(runtime, bundle, listener)
    container.start()
    terminal.read_until('"ready"')
    terminal.close()
    container.wait()


@covers(ROW + "4")
def test_foreground_terminal(runtime: Runtime, bundle: Bundle) -> None:
    """`run` in the foreground passes the terminal's output on (config.md#process)."""
    if not runtime.offers("run"):
        pytest.skip("the runtime has no run command")
    result = runtime.run(with_terminal(bundle).probe("tty-info"), check=False)
    if not result.ok and not result.stdout:
        pytest.skip("the runtime wants a terminal of its own for run")
    found = parse(result.stdout.replace("\r\n", "\n"), result)
    assert [stream["tty"] for stream in found.verbs[0].value["streams"]] == [True] * 3


SIZES = [
    pytest.param(24, 80, id="24x80"),
    pytest.param(1, 500, id="1x500"),
    pytest.param(300, 3, id="300x3"),
    pytest.param(65535, 65535, id="65535x65535"),
]


@covers(ROW + "5", ROW + "7", ROW + "8")
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_console_size(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket, height: int, width: int) -> None:
    """The program sees height as rows and width as columns, from its start (config.md#process)."""
    with_terminal(bundle, {"height": height, "width": width}).probe("tty-info", report=False)
    container, terminal = create(runtime, bundle, listener)
    container.start()
    streams = parse(terminal.read_to_end()).verbs[0].value["streams"]
    assert [stream["winsize"] for stream in streams] == [[height, width]] * 3


@covers(ROW + "5")
def test_console_size_may_be_left_out(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """Without consoleSize there is a terminal all the same, and it can be resized (config.md#process)."""
    container, terminal = create(runtime, with_terminal(bundle).probe("tty-info", report=False), listener)
    terminal.resize(33, 44)
    container.start()
    assert parse(terminal.read_to_end()).verbs[0].value["streams"][0]["winsize"] == [33, 44]


@pytest.mark.parametrize(
    "size",
    [
        pytest.param({"width": 80}, marks=covers(ROW + "7"), id="no height"),
        pytest.param({"height": 24}, marks=covers(ROW + "8"), id="no width"),
        pytest.param({}, marks=covers(ROW + "7", ROW + "8"), id="neither"),
    ],
)
def test_incomplete_console_size_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], listener: ConsoleSocket, size: dict[str, int]
) -> None:
    """consoleSize needs height and width (config.md#process)."""
    create(runtime, with_terminal(make_bundle(), {"height": 24, "width": 80}), listener)
    container = runtime.create(with_terminal(bundle, size), check=False, console_socket=listener.path)
    if container.created.crashed or container.created.ok:
        raise Finding(f"{container.created.describe()}: accepted, should be refused")
    assert not runtime.state(container.id).ok


# -- /dev/console ------------------------------------------------------------------------------------------------------


@covers("config-linux/default-devices/7")
def test_console_device(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """/dev/console is the container's terminal, mounted there (config-linux.md#default-devices)."""
    found = ran(runtime, with_terminal(bundle).probe("open /dev/console wronly"), listener)
    console, stdin = found.device("/dev/console"), found["stdio"][0]
    assert (console["type"], console["major"], console["minor"]) == ("c", stdin["major"], stdin["minor"])
    assert found.mount("/dev/console")["fstype"] == "devpts"
    assert found.verbs[0].errno is None


@covers("config-linux/default-devices/7")
def test_text_written_to_the_console(runtime: Runtime, bundle: Bundle, listener: ConsoleSocket) -> None:
    """What is written to /dev/console comes out at the master (config-linux.md#default-devices)."""
    container, terminal = create(
        runtime, with_terminal(bundle).probe("write /dev/console over-the-console\n -- hold", report=False), listener
    )
    container.start()
    assert "\nover-the-console" in "\n" + terminal.read_until('"hold"')


@covers("config-linux/default-devices/7")
def test_no_console_without_terminal(default_report: Report) -> None:
    """Without a terminal there is no /dev/console (config-linux.md#default-devices)."""
    assert "/dev/console" not in default_report["devices"]


@covers("config-linux/default-devices/7")
def test_console_is_not_made_through_a_link_of_the_image(
    runtime: Runtime, bundle: Bundle, listener: ConsoleSocket
) -> None:
    """An image whose /dev/console is a link to another file does not get the terminal mounted on a file of the host;
    refusing such an image is fine (config-linux.md#default-devices)."""
    runtime.prove_sane()
    target = bundle.outside("target")
    with open(target, "w", encoding="ascii") as file:
        file.write("host")
    for destination in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        bundle.without_mount(destination)
    bundle.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    bundle.directory("dev/pts")
    bundle.symlink("../../target", "dev/console")
    container = runtime.create(
        with_terminal(bundle).probe("write /dev/console x -- hold", report=False),
        check=False,
        console_socket=listener.path,
    )
    if container.created.ok:
        terminal = listener.receive()
        container.start()
        terminal.read_until('"hold"')
    with open(target, encoding="ascii") as file:
        assert file.read() == "host"
