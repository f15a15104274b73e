"""`exec --tty` in the foreground: what runs between the caller's terminal and the container's."""

from __future__ import annotations

import os
import termios
import time

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import at_once
from seatrial.conformance.cases.terminal.caller import Caller, executing
from seatrial.conformance.cases.terminal.conftest import LINES
from seatrial.conformance.driver.bundle import PROBE
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.errors import Finding

pytestmark = [needs("exec", "tty"), profile("runc-compat")]

TERMINAL, SIZE = "config/process/4", "config/process/5"
FLAGS = 4  # iflag, oflag, cflag, lflag of termios(3)


@covers(TERMINAL, SIZE)
def test_program_has_a_terminal_of_the_callers_size(container: Container) -> None:
    """The streams are a terminal of the container's, not the caller's; its size is the caller's; the status is the
    program's."""
    with executing(container, PROBE, "tty-info", "--", "exit", "7", size=(33, 77)) as caller:
        assert caller.wait() == 7
        streams = parse(caller.shown()).verb("tty-info").value["streams"]
    assert [stream["tty"] for stream in streams] == [True] * 3
    assert [stream["winsize"] for stream in streams] == [[33, 77]] * 3
    assert streams[0]["name"].startswith("/dev/pts/")


@covers(TERMINAL)
@pytest.mark.parametrize("program", [[PROBE, "exit", "3"], ["/nosuch"]], ids=["fails", "missing"])
def test_settings_are_restored(container: Container, program: list[str]) -> None:
    """The caller's terminal is as it was when the command has ended, well or not (crun 1.8.5)."""
    with executing(container, *program) as caller:
        assert caller.wait() != 0
        assert termios.tcgetattr(caller.slave) == caller.settings


@covers(TERMINAL)
def test_settings_are_restored_after_a_signal(container: Container) -> None:
    """So it is when somebody ends the command by SIGTERM, which the program gets and dies of."""
    with executing(container, PROBE, "print", "ready", "--", "sleep", "20") as caller:
        caller.read_until('"ready"')
        raw = termios.tcgetattr(caller.slave)
        caller.process.terminate()
        assert caller.wait() != 0
        assert raw != caller.settings, "the caller's terminal is not raw while the program runs"
        assert termios.tcgetattr(caller.slave) == caller.settings


@covers(TERMINAL)
def test_typed_text_arrives_once(container: Container) -> None:
    """What is typed reaches the program; the echo is that of the container's terminal alone."""
    with executing(container, PROBE, "print", "ready", "--", "read-fd", "0", "--", "exit", "0") as caller:
        caller.read_until('"ready"')
        caller.write("typed text\r")
        assert caller.wait() == 0
        shown = caller.shown()
    assert parse(shown).verb("read-fd").value == "typed text\n"
    assert [line for line in shown.splitlines() if line.startswith("typed")] == ["typed text"]


@covers(TERMINAL)
def test_job_control_keys(container: Container) -> None:
    """Ctrl-C, Ctrl-Z and Ctrl-\\ are signals for the program, and not for the runtime in the caller's terminal."""
    with executing(container, PROBE, "signal-log", "20", "--until", "QUIT", "--", "exit", "6") as caller:
        caller.read_until('"ready"')
        for key, name in (("\x03", "SIGINT"), ("\x1a", "SIGTSTP"), ("\x1c", "SIGQUIT")):
            caller.write(key)
            caller.read_until(f'"{name}"')
        assert caller.wait() == 6


@covers(SIZE)
def test_resizing(container: Container) -> None:
    """When the caller's terminal changes its size, the container's follows, and the program is told by SIGWINCH."""
    looks = ["--", "tty-info", "--", "sleep", "0.02"] * 250
    with executing(container, PROBE, "print", "ready", *looks) as caller:
        caller.read_until("[24,80]")
        caller.resize(44, 55)
        caller.read_until("[44,55]")
        caller.write("\x03")  # no handler: the program dies of it
        assert caller.wait() == 130
    with executing(container, PROBE, "signal-log", "20", "--until", "QUIT") as caller:
        caller.read_until('"ready"')
        caller.resize(45, 56)
        caller.read_until('"SIGWINCH"')
        caller.write("\x1c")
        assert caller.wait() == 0


@covers(TERMINAL)
def test_ten_megabytes_for_a_slow_reader(container: Container) -> None:
    """10 MB, of which the caller takes a little at a time: every byte comes, in order, and while nobody reads the
    runtime waits without using the processor (crun 1.19.1, 1.23.1)."""
    words = ["read", "/long", "1000000"]
    program = [PROBE, *words, *(["--", *words] * 9), "--", "exit", "4"]
    parts = []
    with executing(container, *program, pipe=True) as caller:
        wait_blocked(caller)
        used = processor(caller)
        time.sleep(0.2)
        assert processor(caller) - used < 0.1, "the runtime computes while it waits for its reader"
        while data := caller.take(caller.read_end, 32768):
            parts.append(data)
            if len(parts) % 16 == 0:
                time.sleep(0.001)
        assert caller.wait() == 4
    values = [verb.value for verb in parse(b"".join(parts).decode().replace("\r\n", "\n")).verbs if verb.verb == "read"]
    assert len(values) == 10
    assert [number for number, value in enumerate(values) if value != LINES] == []


def processor(caller: Caller) -> float:
    """Seconds that the threads of the runtime have run or have waited for a processor (schedstat)."""
    directory = f"/proc/{caller.process.pid}/task"
    total = 0
    for task in os.listdir(directory):
        with open(f"{directory}/{task}/schedstat", encoding="ascii") as file:
            total += sum(int(word) for word in file.read().split()[:2])
    return total / 1e9


def wait_blocked(caller: Caller) -> None:
    """Wait until there is output that nobody has read for a moment."""
    import select

    if not select.select([caller.read_end], [], [], 8)[0]:
        raise Finding(f"{caller.name()}: no output")
    time.sleep(0.1)


@covers(TERMINAL)
def test_last_words_are_not_lost(container: Container) -> None:
    """A program that writes more than a pseudo-terminal holds and ends at once: all of it comes (crun 1.19.1)."""
    for turn in range(12):  # whether something is left in the terminal at its end is a race
        parts = []
        with executing(container, PROBE, "read", "/short", "30000", "--", "exit", str(turn), pipe=True) as caller:
            while data := caller.take(caller.read_end):
                parts.append(data)
            assert caller.wait() == turn
        report = parse(b"".join(parts).decode().replace("\r\n", "\n"))
        assert [report.verb("read").value, report.verb("exit").args] == [LINES[:30000], (str(turn),)]


@covers(TERMINAL)
def test_several_terminals_at_once(container: Container) -> None:
    """Four callers: each has a terminal of its own, and what is typed in one is read in one."""

    def one(number: int) -> tuple[int, str, str]:
        words = ["tty-info", "--", "read-fd", "0", "--", "sleep", "0.1", "--", "exit", str(number)]
        with executing(container, PROBE, *words) as caller:
            caller.read_until("tty-info")
            caller.write(f"from {number}\r")
            status = caller.wait()
            report = parse(caller.shown())
        return status, report.verb("read-fd").value, report.verb("tty-info").value["streams"][0]["name"]

    found = at_once(4, one)
    assert [(status, text) for status, text, _ in found] == [(number, f"from {number}\n") for number in range(4)]
    assert len({name for _, _, name in found}) == 4, found
