"""A signal at the worst moment: a process has just been made, and nobody has written its number down."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import pytest
from bundles import Bundle, library_config, processes_of

from seatrial.conformance.airlock.orphans import children
from seatrial.runtime import Container, Process, launch
from seatrial.runtime.deferral import Deferred

P = ParamSpec("P")
R = TypeVar("R")


class Interrupted(Exception):  # noqa: N818  (nothing has gone wrong)
    """What the handler raises."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def strike() -> None:
    """SIGTERM to this thread: one to the process may go to another, whose mask is its own (pytest-xdist has some)."""
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


def overdue(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError("what was made is waited for, and nobody tells it to go")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGALRM, overdue)
    signal.alarm(60)
    yield
    signal.alarm(0)
    for number, handler in kept.items():
        signal.signal(number, handler)


def struck(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with a SIGTERM as soon as it has its first result."""
    once = iter((True,))

    def call(*arguments: P.args, **options: P.kwargs) -> R:
        result = function(*arguments, **options)
        if next(once, False):
            strike()
        return result

    return call


@pytest.mark.parametrize("moment", ["the spawn", "the message about a child"])
def test_what_was_just_made_is_taken_back(
    bundle: Bundle, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    if moment == "the spawn":
        monkeypatch.setattr(launch, "spawn", struck(launch.spawn))
    else:
        monkeypatch.setattr(launch.channel, "receive_message", struck(launch.channel.receive_message))
    config = library_config(bundle)
    root = os.path.join(tmp_path, "root")
    before = children()
    container = Container.create(root, f"struck-{os.getpid()}", config)
    with pytest.raises(Interrupted):
        container.start(Process(["/probe", "hold"]))
    assert children() == before  # no zombie either
    assert processes_of(config.rootfs) == []
    assert os.listdir(root) == []


def test_a_stage_that_was_killed_while_it_cloned_leaves_no_child(
    bundle: Bundle, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sibling is our child too, and of 150 kills within the first 2 ms three or four fell between the two."""
    spawn, delay = launch.spawn, 0.0

    def spawn_and_strike(*arguments: Any, **options: Any) -> tuple[int, int]:
        result = spawn(*arguments, **options)
        deadline = time.perf_counter() + delay
        while time.perf_counter() < deadline:
            pass
        strike()
        return result

    monkeypatch.setattr(launch, "spawn", spawn_and_strike)
    config = library_config(bundle)
    before = children()
    for turn in range(150):
        delay = turn % 50 * 40e-6
        container = Container.create(os.path.join(tmp_path, "root"), f"struck-{os.getpid()}", config)
        with pytest.raises(Interrupted):
            container.start(Process(["/probe", "hold"]))
        assert children() == before


def test_the_handler_runs_at_the_end_of_the_block() -> None:
    done = []

    def work() -> None:
        with Deferred():
            strike()
            done.append("after the signal")

    with pytest.raises(Interrupted):
        work()
    assert done
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_signal_before_the_block_leaves_nothing_blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    strike()
    with Deferred():  # blocked by the caller, and so it stays
        pass
    with pytest.raises(Interrupted):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
