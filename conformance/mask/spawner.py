"""Starts programs behind masks, from a process that is not behind them.

A filter belongs to a thread and to what that thread starts.  A thread of its own loads it and starts the program: no
interpreter in between, no fork of the harness (the start is a vfork), and the harness's own calls stay as they are.
The thread is made anew each time, so that the program inherits what the caller has set for its own thread: scheduling,
I/O priority, CPU affinity, memory policy.  It stays until the program has ended: a parent death signal
(PR_SET_PDEATHSIG(2const)) comes when the thread ends that started the process.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from seatrial.conformance.mask.install import install
from seatrial.conformance.mask.names import Mask, resolve_all

Starter = Callable[[Callable[[], Any]], Any]


@contextlib.contextmanager
def starter(names: tuple[str, ...]) -> Iterator[Starter]:
    """A with block around the life of a program, with a function that calls another one where the masks of these names
    are in force; for no name it is called here.  EnvironmentProblem, from that call, when the filter cannot be loaded.
    """
    if not names:
        yield _here
        return
    work: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    thread = threading.Thread(target=_serve, args=(resolve_all(names), work, answers), daemon=True)
    thread.start()

    def begin(call: Callable[[], Any]) -> Any:
        work.put(call)
        fine, value = answers.get()
        if not fine:
            raise value
        return value

    try:
        yield begin
    finally:
        work.put(None)
        thread.join()


def _here(call: Callable[[], Any]) -> Any:
    return call()


def _serve(
    masks: Sequence[Mask],
    work: queue.SimpleQueue[Callable[[], Any] | None],
    answers: queue.SimpleQueue[tuple[bool, Any]],
) -> None:
    """The thread: the filter, then each call until there is none."""
    trouble: BaseException | None = None
    try:
        install(masks)
    except BaseException as error:
        trouble = error
    while (call := work.get()) is not None:
        try:
            if trouble is not None:
                raise trouble
            answers.put((True, call()))
        except BaseException as error:
            answers.put((False, error))
