"""The spare: the next clone, made ready while the one before it is in use.

Under software emulation no clone begins with translated code, and the translation of what its first command needs takes
several times as long as a second command (docs/performance.md).  A spare has run one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from seatrial.vm.channel import LostError
from seatrial.vm.errors import MachineError
from seatrial.vm.qemu.machine import CLONE_TIMEOUT, QemuMachine

FIRST = ("/bin/true",)


class Spare:
    """At most one machine that waits: of the blueprint that was asked for last."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "spare")  # it stays: QEMU ends with the thread that started it
        self._key = ""
        self._waiting: Future[QemuMachine] | None = None

    def prepare(self, key: str, clone: Callable[[], QemuMachine]) -> None:
        """Begin to make a machine of the blueprint named `key`; one that still waits is closed."""
        self._drop()
        self._key = key
        self._waiting = self._thread.submit(ready, clone)

    def take(self, key: str) -> QemuMachine | None:
        """The machine of this blueprint, with the time of now and a name of its own; None where there is none."""
        if self._waiting is None or key != self._key:
            return None
        waiting, self._waiting = self._waiting, None
        try:
            machine = waiting.result()
        except (MachineError, OSError):
            return None  # whoever wants one boots it, and is told
        try:
            machine.greet(CLONE_TIMEOUT)
        except (LostError, TimeoutError, OSError):
            machine.close()
            return None
        return machine

    def close(self) -> None:
        """Close what waits."""
        self._drop()
        self._thread.shutdown()

    def _drop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.cancel() and waiting.exception() is None:
            waiting.result().close()


def ready(clone: Callable[[], QemuMachine]) -> QemuMachine:
    """A clone that has run a command."""
    machine = clone()
    try:
        machine.run(FIRST, timeout=CLONE_TIMEOUT)
    except BaseException:
        machine.close()
        raise
    machine.facts["spare"] = True
    return machine
