"""What a change of limits has overwritten, so that it can be taken back.

The kernel lets every write pass only in an order that keeps its rules (memory <= memory + swap, burst <= quota ...).
Going back through the same values in reverse order passes through states that it has held before, so it can do that.
"""

from __future__ import annotations

from seatrial.runtime.cgroup.files import write
from seatrial.runtime.errors import SeatrialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Undo:
    """(directory, file, lines that restore it), or something else to do, in the order of the changes."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, list[str]] | Callable[[], None]] = []

    def note(self, directory: str, name: str, lines: list[str]) -> None:
        """Remember how to restore a file that has been written just now."""
        self.steps.append((directory, name, lines))

    def also(self, step: Callable[[], None]) -> None:
        """Remember what takes back something else than a file; it may raise SeatrialError."""
        self.steps.append(step)

    def run(self) -> list[str]:
        """Write everything back; what cannot be is told, one sentence each, and does not keep the rest from it."""
        problems = []
        for step in reversed(self.steps):
            if callable(step):
                try:
                    step()
                except SeatrialError as error:
                    problems.append(f"could not be taken back: {error}")
                continue
            directory, name, lines = step
            for line in lines:
                try:
                    write(directory, name, line or "\n")  # an empty write(2) would do nothing
                except SeatrialError as error:
                    problems.append(f"could not be taken back: {error}")
        self.steps.clear()
        return problems
