"""Mutants of the way between a container's terminal and its caller: console socket and relay."""

from __future__ import annotations

import os

from planting import Mutant, applied, both, changed, dropped, exec_plan, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FOREGROUND = "terminal/test_foreground.py::"
SOCKET = "terminal/test_console_socket.py::"


def _left_raw(_real: Callable[[Any], None], relay: Any) -> None:
    """Relay.close that does not restore the caller's terminal."""
    applied()
    os.close(relay.master)


def _no_size() -> tuple[int, int]:
    return 0, 0


def _sizeless(_real: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    applied()
    return _no_size()


def _first_bytes(real: Callable[[Any], bool], relay: Any) -> bool:
    """Relay.output that loses what its reader does not take at once."""
    try:
        data = os.read(relay.master, 65536)
    except OSError:
        return False
    os.set_blocking(1, False)
    try:
        os.write(1, data)
    except BlockingIOError:
        applied()
    return bool(data)


def _busy(real: Callable[[Any], bool], relay: Any) -> bool:
    """Relay.output that asks again and again whether its reader is ready."""
    try:
        data = os.read(relay.master, 65536)
    except OSError:
        return False
    os.set_blocking(1, False)
    while data:
        try:
            data = data[os.write(1, data) :]
        except BlockingIOError:
            applied()
    return True


def _end_at_once(real: Callable[[Any], int], foreground: Any) -> int:
    """Foreground.wait that leaves what is in the terminal when the program has ended."""
    relay_output = vars(__import__("seatrial.runtime.console", fromlist=("",)))["Relay"].output
    process = foreground.process

    def output(relay: Any) -> bool:
        if process._exit is None:
            return bool(relay_output(relay))
        applied()
        return False

    vars(__import__("seatrial.runtime.console", fromlist=("",)))["Relay"].output = output
    return real(foreground)


def _cooked(real: Callable[[Any, int], None], relay: Any, master: int) -> None:
    """Relay that leaves the caller's terminal as it is: keys are signals for the runtime."""
    real(relay, master)
    if relay.saved is not None:
        import termios

        applied()
        termios.tcsetattr(0, termios.TCSANOW, relay.saved)


def _two(_real: Callable[..., None], connection: int, master: int, name: str) -> None:
    """send_master of another descriptor with the master."""
    from seatrial.native import channel

    applied()
    channel.send(connection, name.encode(), [master, 2])


def _nameless(_real: Callable[..., None], connection: int, master: int, _name: str) -> None:
    from seatrial.native import channel

    applied()
    channel.send(connection, b"\0", [master])


def _kept_open(real: Callable[..., None], connection: int, *rest: Any) -> None:
    """send_master whose connection stays open in a process of its own."""
    real(connection, *rest)
    applied()
    if os.fork() == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.close(fd)
        import time

        time.sleep(5)
        os._exit(0)


def _any_socket(real: Callable[..., Any], process: Any, options: Any) -> None:
    """set_paths that forgets a console socket which nobody needs."""
    real(process, options)
    if process.console_socket and not process.terminal:
        applied()
        process.console_socket = ""


TABLE = (
    Mutant(
        "terminal-left-raw",
        "the caller's terminal stays raw",
        replaced("console:Relay.close", _left_raw),
        FOREGROUND + "test_settings_are_restored[fails]",
        FOREGROUND + "test_settings_are_restored_after_a_signal",
    ),
    Mutant(
        "terminal-size-not-followed",
        "the container's terminal keeps its first size",
        replaced("console:Relay.resize", skipped),
        FOREGROUND + "test_resizing",
    ),
    Mutant(
        "terminal-without-the-callers-size",
        "the container's terminal starts without a size",
        both(replaced("cli.exec:terminal_size", _sizeless), replaced("console:Relay.resize", skipped)),
        FOREGROUND + "test_program_has_a_terminal_of_the_callers_size",
    ),
    Mutant(
        "terminal-output-lost",
        "what a slow reader does not take at once is lost",
        replaced("console:Relay.output", _first_bytes),
        FOREGROUND + "test_ten_megabytes_for_a_slow_reader",
    ),
    Mutant(
        "terminal-busy-loop",
        "the relay spins while its reader is slow",
        replaced("console:Relay.output", _busy),
        FOREGROUND + "test_ten_megabytes_for_a_slow_reader",
    ),
    Mutant(
        "terminal-last-words-lost",
        "what is in the terminal when the program ends is not read",
        replaced("cli.foreground:Foreground.wait", _end_at_once),
        FOREGROUND + "test_last_words_are_not_lost",
    ),
    Mutant(
        "terminal-not-raw",
        "the caller's terminal is not made raw",
        replaced("console:Relay.__init__", _cooked),
        FOREGROUND + "test_typed_text_arrives_once",
    ),
    Mutant(
        "console-socket-two-descriptors",
        "a second descriptor comes with the master",
        replaced("console:send_master", _two),
        SOCKET + "test_message",
    ),
    Mutant(
        "console-socket-nameless",
        "the master comes without a name",
        replaced("console:send_master", _nameless),
        SOCKET + "test_message_of_exec",
    ),
    Mutant(
        "console-socket-kept-open",
        "the connection to the console socket is not closed",
        replaced("console:send_master", _kept_open),
        SOCKET + "test_message_of_exec",
    ),
    Mutant(
        "console-socket-without-terminal",
        "a console socket for a process without a terminal is ignored",
        replaced("cli.launching:set_paths", _any_socket),
        SOCKET + "test_socket_without_a_terminal",
    ),
    Mutant(
        "console-size-of-exec-ignored",
        "exec --process ignores consoleSize",
        exec_plan(changed("console", to=lambda values: {"width": 0, "height": 0})),
        SOCKET + "test_size_of_a_process_document",
    ),
    Mutant(
        "exec-terminal-of-root",
        "the terminal of an executed program stays root's",
        exec_plan(changed("console", to=lambda values: {"uid": 0}), dropped("stdio_owner")),
        SOCKET + "test_executed_program_owns_its_terminal",
    ),
)
