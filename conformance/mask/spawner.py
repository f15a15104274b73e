"""Starts programs behind masks, from a process that is not behind them.

A filter belongs to a thread and to what that thread starts.  One thread for each set of masks loads it once and starts
every program: no interpreter in between, no fork of the harness (the start is a vfork), and the harness's own calls
stay as they are.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from seatrial.conformance.mask.install import install
from seatrial.conformance.mask.names import resolve_all


class Spawner:
    """A thread behind masks.  It takes over the namespaces of the thread that makes it, so make it after confinement.

    EnvironmentProblem, from run(), when the filter cannot be loaded.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._masks = resolve_all(names)
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[tuple[bool, Any]]]]
        self._work = queue.SimpleQueue()
        self._trouble: BaseException | None = None
        threading.Thread(target=self._serve, name=f"masked {' '.join(names)}", daemon=True).start()

    def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises, called in the thread."""
        answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._work.put((work, answer))
        fine, value = answer.get()
        if not fine:
            raise value
        return value

    def _serve(self) -> None:
        try:
            install(self._masks)
        except BaseException as error:
            self._trouble = error
        while True:
            work, answer = self._work.get()
            try:
                if self._trouble is not None:
                    raise self._trouble
                answer.put((True, work()))
            except BaseException as error:
                answer.put((False, error))


_spawners: dict[tuple[str, ...], Spawner] = {}


def behind(names: tuple[str, ...], work: Callable[[], Any]) -> Any:
    """`work()`, called in a thread behind the masks of these names; here and now for none."""
    if not names:
        return work()
    if names not in _spawners:
        _spawners[names] = Spawner(names)
    return _spawners[names].run(work)
